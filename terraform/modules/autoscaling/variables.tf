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

variable "autoscaling" {
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
    condition     = var.autoscaling.min_instances >= 1 && floor(var.autoscaling.min_instances) == var.autoscaling.min_instances
    error_message = "autoscaling.min_instances must be a whole number from 1 (zero needs inference components); got ${var.autoscaling.min_instances}."
  }

  validation {
    condition     = var.autoscaling.max_instances >= var.autoscaling.min_instances && floor(var.autoscaling.max_instances) == var.autoscaling.max_instances
    error_message = "autoscaling.max_instances must be a whole number from autoscaling.min_instances (${var.autoscaling.min_instances}); got ${var.autoscaling.max_instances}."
  }

  validation {
    condition     = contains(["SageMakerVariantInvocationsPerInstance", "SageMakerVariantConcurrentRequestsPerModelHighResolution"], var.autoscaling.metric)
    error_message = "autoscaling.metric must be SageMakerVariantInvocationsPerInstance or SageMakerVariantConcurrentRequestsPerModelHighResolution; got \"${var.autoscaling.metric}\"."
  }

  validation {
    condition     = var.autoscaling.target > 0
    error_message = "autoscaling.target must be above 0; got ${var.autoscaling.target}."
  }

  validation {
    condition     = var.autoscaling.scale_in_cooldown_seconds >= 0 && var.autoscaling.scale_in_cooldown_seconds <= 3600 && floor(var.autoscaling.scale_in_cooldown_seconds) == var.autoscaling.scale_in_cooldown_seconds
    error_message = "autoscaling.scale_in_cooldown_seconds must be a whole number from 0 to 3600; got ${var.autoscaling.scale_in_cooldown_seconds}."
  }

  validation {
    condition     = var.autoscaling.scale_out_cooldown_seconds >= 0 && var.autoscaling.scale_out_cooldown_seconds <= 3600 && floor(var.autoscaling.scale_out_cooldown_seconds) == var.autoscaling.scale_out_cooldown_seconds
    error_message = "autoscaling.scale_out_cooldown_seconds must be a whole number from 0 to 3600; got ${var.autoscaling.scale_out_cooldown_seconds}."
  }
}
