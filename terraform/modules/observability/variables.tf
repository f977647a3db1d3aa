variable "prefix" {
  description = "What every name begins with: the project and the stage, such as kennel-dev."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.prefix))
    error_message = "prefix must be 3 to 32 characters of a-z, 0-9 and hyphens, begin with a letter and not end with a hyphen; got \"${var.prefix}\"."
  }
}

variable "endpoint" {
  description = "Names of the endpoint and its variant; null: no endpoint. Names, not the module's outputs: rollback alarms come before the endpoint."
  type = object({
    name    = string
    variant = string
  })
  default = null

  validation {
    condition     = var.endpoint == null ? true : alltrue([for name in [var.endpoint.name, var.endpoint.variant] : can(regex("^[a-zA-Z0-9](-?[a-zA-Z0-9]){0,62}$", name))])
    error_message = "endpoint.name and .variant must be 1 to 63 letters, digits and single hyphens; got ${jsonencode(try(var.endpoint.name, null))} and ${jsonencode(try(var.endpoint.variant, null))}."
  }
}

variable "lambda" {
  description = "Names of the function and of its alias, and whether it has a URL."
  type = object({
    function_name = string
    alias         = string
    url           = optional(bool, false)
  })
  nullable = false

  validation {
    condition     = alltrue([for name in [var.lambda.function_name, var.lambda.alias] : can(regex("^[a-zA-Z0-9_-]{1,128}$", name))])
    error_message = "lambda.function_name and .alias must be letters, digits, hyphens and underscores; got \"${var.lambda.function_name}\" and \"${var.lambda.alias}\"."
  }
}

variable "max_instances" {
  description = "The scaling limit to draw into the dashboard; null: nothing scales."
  type        = number
  default     = null

  validation {
    condition     = var.max_instances == null ? true : var.max_instances >= 1
    error_message = "max_instances must be null or at least 1; got ${jsonencode(var.max_instances)}."
  }
}

variable "observability" {
  description = <<-EOT
    What is watched.
    - dashboard: a CloudWatch dashboard for the stage.
    - notifications: an SNS topic that all alarms go to, with subscriptions for emails (each has to confirm) and the key to
      encrypt it with, whose policy must let CloudWatch use it. Null: no topic.
    - endpoint_alarms: server_errors and model_errors, answers a minute that are too many; latency_p99_ms, the
      model's 99th percentile; these three also roll an update back. cpu_percent and memory_percent, the fleet's average
      use; null: no such alarm. evaluation_minutes: how long in a row it must be so.
    - lambda_alarms: errors and throttles, calls a minute that are too many.
  EOT
  type = object({
    dashboard = optional(bool, true)
    notifications = optional(object({
      emails      = optional(set(string), [])
      kms_key_arn = optional(string)
    }))
    endpoint_alarms = optional(object({
      server_errors      = optional(number, 5)
      model_errors       = optional(number, 5)
      latency_p99_ms     = optional(number, 2000)
      cpu_percent        = optional(number)
      memory_percent     = optional(number)
      evaluation_minutes = optional(number, 2)
    }), {})
    lambda_alarms = optional(object({
      errors    = optional(number, 5)
      throttles = optional(number, 5)
    }), {})
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.observability.notifications == null ? true : alltrue([for email in var.observability.notifications.emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "observability.notifications.emails must be e-mail addresses; got ${jsonencode(try(var.observability.notifications.emails, []))}."
  }

  validation {
    condition     = try(var.observability.notifications.kms_key_arn, null) == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.observability.notifications.kms_key_arn))
    error_message = "observability.notifications.kms_key_arn must be null or the ARN of a KMS key of ours, because CloudWatch may not use alias/aws/sns; got ${jsonencode(try(var.observability.notifications.kms_key_arn, null))}."
  }

  validation {
    condition     = var.observability.endpoint_alarms.server_errors >= 1 && var.observability.endpoint_alarms.model_errors >= 1
    error_message = "observability.endpoint_alarms.server_errors and .model_errors must be 1 or more a minute; got ${var.observability.endpoint_alarms.server_errors} and ${var.observability.endpoint_alarms.model_errors}."
  }

  validation {
    condition     = var.observability.endpoint_alarms.latency_p99_ms > 0 && var.observability.endpoint_alarms.latency_p99_ms <= 60000
    error_message = "observability.endpoint_alarms.latency_p99_ms must be above 0 and at most 60000, when SageMaker gives a request up; got ${var.observability.endpoint_alarms.latency_p99_ms}."
  }

  validation {
    condition     = var.observability.endpoint_alarms.cpu_percent == null ? true : var.observability.endpoint_alarms.cpu_percent > 0
    error_message = "observability.endpoint_alarms.cpu_percent must be null or above 0 (100 is one core); got ${jsonencode(var.observability.endpoint_alarms.cpu_percent)}."
  }

  validation {
    condition     = var.observability.endpoint_alarms.memory_percent == null ? true : var.observability.endpoint_alarms.memory_percent > 0 && var.observability.endpoint_alarms.memory_percent <= 100
    error_message = "observability.endpoint_alarms.memory_percent must be null or above 0 and at most 100; got ${jsonencode(var.observability.endpoint_alarms.memory_percent)}."
  }

  validation {
    condition     = var.observability.endpoint_alarms.evaluation_minutes >= 1 && var.observability.endpoint_alarms.evaluation_minutes <= 60 && floor(var.observability.endpoint_alarms.evaluation_minutes) == var.observability.endpoint_alarms.evaluation_minutes
    error_message = "observability.endpoint_alarms.evaluation_minutes must be a whole number from 1 to 60; got ${var.observability.endpoint_alarms.evaluation_minutes}."
  }

  validation {
    condition     = var.observability.lambda_alarms.errors >= 1 && var.observability.lambda_alarms.throttles >= 1
    error_message = "observability.lambda_alarms.errors and .throttles must be 1 or more a minute; got ${var.observability.lambda_alarms.errors} and ${var.observability.lambda_alarms.throttles}."
  }
}
