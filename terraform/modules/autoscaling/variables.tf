variable "endpoint" {
  description = "The endpoint and its variant, as the endpoint module gives them: scaling needs them in service."
  type = object({
    name    = string
    variant = string
  })
  nullable = false

  validation {
    condition     = alltrue([for name in [var.endpoint.name, var.endpoint.variant] : can(regex("^[a-zA-Z0-9](-?[a-zA-Z0-9]){0,62}$", name))])
    error_message = "endpoint.name and .variant must be 1 to 63 letters, digits and single hyphens; got \"${var.endpoint.name}\" and \"${var.endpoint.variant}\"."
  }
}

variable "scaling" {
  description = <<-EOT
    Target tracking.
    - min_instances, max_instances: the range that the instance count moves in.
    - metric, target: what is held at which value, per instance. SageMakerVariantInvocationsPerInstance counts requests a
      minute; SageMakerVariantConcurrentRequestsPerModelHighResolution counts requests in flight and is measured
      every 10 seconds, so that it scales out sooner.
    - scale_in_cooldown_seconds, scale_out_cooldown_seconds: the pause after one scaling before the next.
    - disable_scale_in: only ever scale out.
  EOT
  type = object({
    min_instances              = optional(number, 1)
    max_instances              = optional(number, 4)
    metric                     = optional(string, "SageMakerVariantInvocationsPerInstance")
    target                     = optional(number, 100)
    scale_in_cooldown_seconds  = optional(number, 10)
    scale_out_cooldown_seconds = optional(number, 10)
    disable_scale_in           = optional(bool, false)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.scaling.min_instances >= 1 && floor(var.scaling.min_instances) == var.scaling.min_instances
    error_message = "scaling.min_instances must be a whole number from 1 (zero needs inference components); got ${var.scaling.min_instances}."
  }

  validation {
    condition     = var.scaling.max_instances >= var.scaling.min_instances && floor(var.scaling.max_instances) == var.scaling.max_instances
    error_message = "scaling.max_instances must be a whole number from scaling.min_instances (${var.scaling.min_instances}); got ${var.scaling.max_instances}."
  }

  validation {
    condition     = contains(["SageMakerVariantInvocationsPerInstance", "SageMakerVariantConcurrentRequestsPerModelHighResolution"], var.scaling.metric)
    error_message = "scaling.metric must be SageMakerVariantInvocationsPerInstance or SageMakerVariantConcurrentRequestsPerModelHighResolution; got \"${var.scaling.metric}\"."
  }

  validation {
    condition     = var.scaling.target > 0
    error_message = "scaling.target must be above 0; got ${var.scaling.target}."
  }

  validation {
    condition     = var.scaling.scale_in_cooldown_seconds >= 0 && var.scaling.scale_in_cooldown_seconds <= 3600 && floor(var.scaling.scale_in_cooldown_seconds) == var.scaling.scale_in_cooldown_seconds
    error_message = "scaling.scale_in_cooldown_seconds must be a whole number from 0 to 3600; got ${var.scaling.scale_in_cooldown_seconds}."
  }

  validation {
    condition     = var.scaling.scale_out_cooldown_seconds >= 0 && var.scaling.scale_out_cooldown_seconds <= 3600 && floor(var.scaling.scale_out_cooldown_seconds) == var.scaling.scale_out_cooldown_seconds
    error_message = "scaling.scale_out_cooldown_seconds must be a whole number from 0 to 3600; got ${var.scaling.scale_out_cooldown_seconds}."
  }
}
