variable "name" {
  description = "The function's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,64}$", var.name))
    error_message = "name must be 1 to 64 letters, digits, hyphens and underscores; got \"${var.name}\"."
  }
}

variable "stage" {
  description = "The stage, for the logs and because local alone may loosen what is fetched."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["local", "dev", "prod"], var.stage)
    error_message = "stage must be local, dev or prod; got \"${var.stage}\"."
  }
}

variable "alias" {
  description = "The alias that callers use."
  type        = string
  default     = "live"
  nullable    = false

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,128}$", var.alias)) && !can(regex("^[0-9]+$", var.alias))
    error_message = "alias must be 1 to 128 letters, digits, hyphens and underscores, and not a number, which would be a version; got \"${var.alias}\"."
  }
}

variable "role_arn" {
  description = "The function's execution role."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/.+$", var.role_arn))
    error_message = "role_arn must be the ARN of an IAM role; got \"${var.role_arn}\"."
  }
}

variable "endpoint" {
  description = "The endpoint to call, which need not be there yet, the names that old callers still send for it, and the inference component to ask there; null: none."
  type = object({
    name                = string
    aliases             = optional(set(string), [])
    inference_component = optional(string)
  })
  nullable = false

  validation {
    condition     = can(regex("^[a-zA-Z0-9](-?[a-zA-Z0-9]){0,62}$", var.endpoint.name))
    error_message = "endpoint.name must be 1 to 63 letters, digits and single hyphens; got \"${var.endpoint.name}\"."
  }

  validation {
    condition     = alltrue([for alias in var.endpoint.aliases : can(regex("^[a-zA-Z0-9](-?[a-zA-Z0-9]){0,62}$", alias))])
    error_message = "endpoint.aliases must be names that an endpoint could have, 1 to 63 letters, digits and single hyphens; got ${jsonencode(var.endpoint.aliases)}."
  }
}

variable "lambda" {
  description = <<-EOT
    The function.
    - package: path of the zip; runtime and architecture must fit it.
    - memory_mb, timeout_seconds: CPU comes with memory; fetching must fit into the time.
    - reserved_concurrency: how many run at once at most, out of the account's limit; -1: as many as the account allows.
    - provisioned_concurrency: how many of them are kept warm behind the alias; null: none.
    - url: a function URL for the alias, open to IAM-signed calls only.
    - tracing: X-Ray.
    - log_level, log_retention_days: what is logged, and how long it is kept.
    - fetch: limits for the pictures that it downloads. Plain http and loopback addresses are for the local stage.
    - asynchronous: what becomes of asynchronous calls: retries, the age at which they are given up, and the SQS queue or
      SNS topic that hears of the failed ones. Null: two retries within six hours, and nobody hears.
  EOT
  type = object({
    package                 = string
    runtime                 = optional(string, "python3.12")
    architecture            = optional(string, "arm64")
    memory_mb               = optional(number, 512)
    timeout_seconds         = optional(number, 30)
    reserved_concurrency    = optional(number, 50)
    provisioned_concurrency = optional(number)
    url                     = optional(bool, false)
    tracing                 = optional(bool, false)
    log_level               = optional(string, "INFO")
    log_retention_days      = optional(number, 30)
    fetch = optional(object({
      allow_http      = optional(bool, false)
      allow_loopback  = optional(bool, false)
      max_bytes       = optional(number, 5242880)
      timeout_seconds = optional(number, 10)
    }), {})
    asynchronous = optional(object({
      on_failure_arn        = optional(string)
      retries               = optional(number, 2)
      max_event_age_seconds = optional(number, 3600)
    }))
  })
  nullable = false

  validation {
    condition     = endswith(var.lambda.package, ".zip")
    error_message = "lambda.package must be the path of a .zip file; got \"${var.lambda.package}\"."
  }

  validation {
    condition     = contains(["python3.11", "python3.12", "python3.13"], var.lambda.runtime)
    error_message = "lambda.runtime must be python3.11, python3.12 or python3.13; got \"${var.lambda.runtime}\"."
  }

  validation {
    condition     = contains(["arm64", "x86_64"], var.lambda.architecture)
    error_message = "lambda.architecture must be arm64 or x86_64; got \"${var.lambda.architecture}\"."
  }

  validation {
    condition     = var.lambda.memory_mb >= 128 && var.lambda.memory_mb <= 10240 && floor(var.lambda.memory_mb) == var.lambda.memory_mb
    error_message = "lambda.memory_mb must be a whole number from 128 to 10240; got ${var.lambda.memory_mb}."
  }

  validation {
    condition     = var.lambda.timeout_seconds >= 1 && var.lambda.timeout_seconds <= 900 && floor(var.lambda.timeout_seconds) == var.lambda.timeout_seconds
    error_message = "lambda.timeout_seconds must be a whole number from 1 to 900; got ${var.lambda.timeout_seconds}."
  }

  validation {
    condition     = var.lambda.reserved_concurrency == -1 ? true : var.lambda.reserved_concurrency >= 50 && var.lambda.reserved_concurrency <= 100 && floor(var.lambda.reserved_concurrency) == var.lambda.reserved_concurrency
    error_message = "lambda.reserved_concurrency must be a whole number from 50 to 100, or -1 for none reserved; got ${var.lambda.reserved_concurrency}."
  }

  validation {
    condition = var.lambda.provisioned_concurrency == null ? true : (
      var.lambda.provisioned_concurrency >= 1 && floor(var.lambda.provisioned_concurrency) == var.lambda.provisioned_concurrency
      && (var.lambda.reserved_concurrency == -1 ? true : var.lambda.provisioned_concurrency <= var.lambda.reserved_concurrency)
    )
    error_message = "lambda.provisioned_concurrency must be null or a whole number from 1 to lambda.reserved_concurrency (${var.lambda.reserved_concurrency}); got ${jsonencode(var.lambda.provisioned_concurrency)}."
  }

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.lambda.log_level)
    error_message = "lambda.log_level must be DEBUG, INFO, WARNING or ERROR; got \"${var.lambda.log_level}\"."
  }

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827], var.lambda.log_retention_days)
    error_message = "lambda.log_retention_days must be one of CloudWatch's: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827; got ${var.lambda.log_retention_days}."
  }

  validation {
    condition     = var.stage == "local" || !var.lambda.fetch.allow_http
    error_message = "lambda.fetch.allow_http must be false outside the local stage, where pictures come by https only; the stage is \"${var.stage}\"."
  }

  validation {
    condition     = var.stage == "local" || !var.lambda.fetch.allow_loopback
    error_message = "lambda.fetch.allow_loopback must be false outside the local stage; the stage is \"${var.stage}\"."
  }

  validation {
    condition     = var.lambda.fetch.max_bytes >= 1 && var.lambda.fetch.max_bytes <= 6291456 && floor(var.lambda.fetch.max_bytes) == var.lambda.fetch.max_bytes
    error_message = "lambda.fetch.max_bytes must be a whole number from 1 to 6291456, which is what a SageMaker endpoint takes; got ${var.lambda.fetch.max_bytes}."
  }

  validation {
    condition     = var.lambda.fetch.timeout_seconds > 0 && var.lambda.fetch.timeout_seconds < var.lambda.timeout_seconds
    error_message = "lambda.fetch.timeout_seconds must be above 0 and below lambda.timeout_seconds (${var.lambda.timeout_seconds}), so that the endpoint still gets its time; got ${var.lambda.fetch.timeout_seconds}."
  }

  validation {
    condition     = try(var.lambda.asynchronous.on_failure_arn, null) == null ? true : can(regex("^arn:[a-z-]+:(sqs|sns):[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$", var.lambda.asynchronous.on_failure_arn))
    error_message = "lambda.asynchronous.on_failure_arn must be null or the ARN of an SQS queue or SNS topic (not a FIFO one, which Lambda refuses); got ${jsonencode(try(var.lambda.asynchronous.on_failure_arn, null))}."
  }

  validation {
    condition     = var.lambda.asynchronous == null ? true : contains([0, 1, 2], var.lambda.asynchronous.retries)
    error_message = "lambda.asynchronous.retries must be 0, 1 or 2; got ${jsonencode(try(var.lambda.asynchronous.retries, null))}."
  }

  validation {
    condition     = var.lambda.asynchronous == null ? true : var.lambda.asynchronous.max_event_age_seconds >= 60 && var.lambda.asynchronous.max_event_age_seconds <= 21600
    error_message = "lambda.asynchronous.max_event_age_seconds must be between 60 and 21600; got ${jsonencode(try(var.lambda.asynchronous.max_event_age_seconds, null))}."
  }
}

variable "vpc" {
  description = "Subnets and security groups to attach the function to; null: outside any VPC, where it leaves no network interfaces behind."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
  default = null

  validation {
    condition     = var.vpc == null ? true : length(var.vpc.subnet_ids) > 0 && length(var.vpc.security_group_ids) > 0
    error_message = "vpc must have at least one of subnet_ids and of security_group_ids; got ${try(length(var.vpc.subnet_ids), 0)} and ${try(length(var.vpc.security_group_ids), 0)}."
  }
}
