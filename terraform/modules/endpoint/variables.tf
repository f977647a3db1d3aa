variable "name" {
  description = "The endpoint's name; the model's and the configuration's begin with it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9](-?[a-z0-9]){0,35}$", var.name))
    error_message = "name must be 1 to 36 characters of a-z, 0-9 and single hyphens, neither beginning nor ending with a hyphen (26 more are appended, and SageMaker allows 63); got \"${var.name}\"."
  }
}

variable "variant" {
  description = "The production variant's name, by which metrics and scaling know it."
  type        = string
  default     = "primary"
  nullable    = false

  validation {
    condition     = can(regex("^[a-zA-Z0-9](-?[a-zA-Z0-9]){0,62}$", var.variant))
    error_message = "variant must be 1 to 63 letters, digits and single hyphens, neither beginning nor ending with a hyphen; got \"${var.variant}\"."
  }
}

variable "model" {
  description = "The container image and the model archive (s3://….tar.gz) that it serves."
  type = object({
    image       = string
    archive_uri = string
  })
  nullable = false

  validation {
    condition     = can(regex("^[0-9]{12}\\.dkr\\.ecr\\.[a-z0-9-]+\\.amazonaws\\.com(\\.cn)?/[a-z0-9._/-]+(:[\\w.-]+|@sha256:[0-9a-f]{64})$", var.model.image))
    error_message = "model.image must be an ECR image with a tag or digest, <account>.dkr.ecr.<region>.amazonaws.com/<repository>:<tag>; got \"${var.model.image}\"."
  }

  validation {
    condition     = can(regex("^s3://[^/]+/.+\\.tar\\.gz$", var.model.archive_uri))
    error_message = "model.archive_uri must be s3://<bucket>/<key>.tar.gz; got \"${var.model.archive_uri}\"."
  }
}

variable "role_arn" {
  description = "The role that reads the archive, pulls the image and writes logs and captures."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/.+$", var.role_arn))
    error_message = "role_arn must be the ARN of an IAM role; got \"${var.role_arn}\"."
  }
}

variable "endpoint" {
  description = <<-EOT
    How the model is served.
    - instance_type, instance_count: the machines, and how many there are; where the endpoint scales, how many it begins with.
    - environment: the container's variables.
    - network_isolation: containers without any network; S3 is read and written for them from outside.
    - volume_kms_key_arn: the key of the instances' disks; null: SageMaker's own.
    - startup_timeout_seconds, download_timeout_seconds: until a container must answer /ping; until its archive must be there.
    - log_retention_days: how long the containers' logs are kept.
    - deployment: how an update moves traffic from the old fleet (blue) to the new one (green).
      routing ALL_AT_ONCE, CANARY (canary_percent first) or LINEAR (linear_percent at a time); wait_seconds between steps;
      termination_wait_seconds until the old fleet goes, while the alarms can still roll back;
      execution_timeout_seconds for all of it, null: SageMaker's own limit;
      rollback_on_alarms: whether the alarms undo it. The provider replaces the endpoint when this changes, so that nobody
      answers for minutes.
      All of it takes effect with the next update.
  EOT
  type = object({
    instance_type            = optional(string, "ml.m5.large")
    instance_count           = optional(number, 1)
    environment              = optional(map(string), {})
    network_isolation        = optional(bool, true)
    volume_kms_key_arn       = optional(string)
    startup_timeout_seconds  = optional(number, 300)
    download_timeout_seconds = optional(number, 600)
    log_retention_days       = optional(number, 30)
    deployment = optional(object({
      routing                   = optional(string, "ALL_AT_ONCE")
      wait_seconds              = optional(number, 60)
      canary_percent            = optional(number, 10)
      linear_percent            = optional(number, 25)
      termination_wait_seconds  = optional(number, 120)
      execution_timeout_seconds = optional(number)
      rollback_on_alarms        = optional(bool, true)
    }), {})
  })
  default  = {}
  nullable = false

  validation {
    condition     = can(regex("^ml\\.[a-z0-9-]+\\.[a-z0-9]+$", var.endpoint.instance_type))
    error_message = "endpoint.instance_type must be a SageMaker instance type, such as ml.m5.large; got \"${var.endpoint.instance_type}\"."
  }

  validation {
    condition     = var.endpoint.instance_count >= 1 && floor(var.endpoint.instance_count) == var.endpoint.instance_count
    error_message = "endpoint.instance_count must be a whole number from 1; got ${var.endpoint.instance_count}."
  }

  validation {
    condition     = length(var.endpoint.environment) <= 100 && alltrue([for name, value in var.endpoint.environment : can(regex("^[a-zA-Z_][a-zA-Z0-9_]*$", name)) && length(name) <= 1024 && length(value) <= 1024])
    error_message = "endpoint.environment must hold at most 100 variables, named with letters, digits and underscores, with values of up to 1024 characters; got ${jsonencode(keys(var.endpoint.environment))}."
  }

  validation {
    condition     = !(var.endpoint.network_isolation && lower(lookup(var.endpoint.environment, "KENNEL_FETCH_URLS", "false")) == "true")
    error_message = "endpoint.environment must not turn on KENNEL_FETCH_URLS while endpoint.network_isolation is true, because an isolated container reaches no URL; set network_isolation = false or let the Lambda fetch."
  }

  validation {
    condition     = var.endpoint.volume_kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.endpoint.volume_kms_key_arn))
    error_message = "endpoint.volume_kms_key_arn must be null or the ARN of a KMS key; got ${jsonencode(var.endpoint.volume_kms_key_arn)}."
  }

  validation {
    condition     = var.endpoint.startup_timeout_seconds >= 60 && var.endpoint.startup_timeout_seconds <= 3600
    error_message = "endpoint.startup_timeout_seconds must be between 60 and 3600; got ${var.endpoint.startup_timeout_seconds}."
  }

  validation {
    condition     = var.endpoint.download_timeout_seconds >= 60 && var.endpoint.download_timeout_seconds <= 3600
    error_message = "endpoint.download_timeout_seconds must be between 60 and 3600; got ${var.endpoint.download_timeout_seconds}."
  }

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827], var.endpoint.log_retention_days)
    error_message = "endpoint.log_retention_days must be one of CloudWatch's: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827; got ${var.endpoint.log_retention_days}."
  }

  validation {
    condition     = contains(["ALL_AT_ONCE", "CANARY", "LINEAR"], var.endpoint.deployment.routing)
    error_message = "endpoint.deployment.routing must be ALL_AT_ONCE, CANARY or LINEAR; got \"${var.endpoint.deployment.routing}\"."
  }

  validation {
    condition     = var.endpoint.deployment.wait_seconds >= 0 && var.endpoint.deployment.wait_seconds <= 3600
    error_message = "endpoint.deployment.wait_seconds must be between 0 and 3600; got ${var.endpoint.deployment.wait_seconds}."
  }

  validation {
    condition     = var.endpoint.deployment.canary_percent >= 1 && var.endpoint.deployment.canary_percent <= 50
    error_message = "endpoint.deployment.canary_percent must be between 1 and 50; got ${var.endpoint.deployment.canary_percent}."
  }

  validation {
    condition     = var.endpoint.deployment.linear_percent >= 10 && var.endpoint.deployment.linear_percent <= 50
    error_message = "endpoint.deployment.linear_percent must be between 10 and 50; got ${var.endpoint.deployment.linear_percent}."
  }

  validation {
    condition     = var.endpoint.deployment.termination_wait_seconds >= 0 && var.endpoint.deployment.termination_wait_seconds <= 3600
    error_message = "endpoint.deployment.termination_wait_seconds must be between 0 and 3600; got ${var.endpoint.deployment.termination_wait_seconds}."
  }

  validation {
    condition     = var.endpoint.deployment.execution_timeout_seconds == null ? true : var.endpoint.deployment.execution_timeout_seconds >= 600 && var.endpoint.deployment.execution_timeout_seconds <= 14400
    error_message = "endpoint.deployment.execution_timeout_seconds must be null or between 600 and 14400; got ${jsonencode(var.endpoint.deployment.execution_timeout_seconds)}."
  }

  validation {
    condition     = var.endpoint.deployment.execution_timeout_seconds == null ? true : var.endpoint.deployment.execution_timeout_seconds > var.endpoint.deployment.wait_seconds + var.endpoint.deployment.termination_wait_seconds
    error_message = "endpoint.deployment.execution_timeout_seconds must be above wait_seconds and termination_wait_seconds together (${var.endpoint.deployment.wait_seconds + var.endpoint.deployment.termination_wait_seconds}), or every update fails; got ${jsonencode(var.endpoint.deployment.execution_timeout_seconds)}."
  }
}

variable "scaled" {
  description = "Whether autoscaling moves the instance count. Then endpoint.instance_count is where it begins, and no later change of it matters."
  type        = bool
  default     = false
  nullable    = false
}

variable "live_instance_count" {
  description = "How many instances a new configuration starts with in place of endpoint.instance_count, so that an update keeps what was scaled out; null: none is live."
  type        = number
  default     = null

  validation {
    condition     = var.live_instance_count == null ? true : var.live_instance_count >= 1 && floor(var.live_instance_count) == var.live_instance_count
    error_message = "live_instance_count must be null or a whole number from 1; got ${jsonencode(var.live_instance_count)}."
  }
}

variable "vpc" {
  description = "Subnets and security groups to attach the containers to; null: SageMaker's own network."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
  default = null

  validation {
    condition     = var.vpc == null ? true : length(var.vpc.subnet_ids) >= 1 && length(var.vpc.subnet_ids) <= 16 && length(var.vpc.security_group_ids) >= 1 && length(var.vpc.security_group_ids) <= 5
    error_message = "vpc must have 1 to 16 subnet_ids and 1 to 5 security_group_ids; got ${try(length(var.vpc.subnet_ids), 0)} and ${try(length(var.vpc.security_group_ids), 0)}."
  }
}

variable "capture" {
  description = <<-EOT
    Recording of requests and answers; null: none.
    - percent: the share to record.
    - destination_uri: the folder, s3://bucket/prefix.
    - kms_key_arn: the key to encrypt the records with; null: the bucket's.
  EOT
  type = object({
    percent         = number
    destination_uri = string
    kms_key_arn     = optional(string)
  })
  default = null

  validation {
    condition     = var.capture == null ? true : var.capture.percent > 0 && var.capture.percent <= 100
    error_message = "capture.percent must be above 0 and at most 100; got ${jsonencode(try(var.capture.percent, null))}."
  }

  validation {
    condition     = var.capture == null ? true : startswith(var.capture.destination_uri, "s3://")
    error_message = "capture.destination_uri must begin with s3://; got ${jsonencode(try(var.capture.destination_uri, null))}."
  }
}

variable "rollback_alarm_names" {
  description = "Alarms that undo an update while it bakes; they must exist before the endpoint does."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.rollback_alarm_names) <= 10
    error_message = "rollback_alarm_names must hold at most 10 alarms, which is SageMaker's limit; got ${length(var.rollback_alarm_names)}."
  }
}
