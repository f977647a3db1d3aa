variable "name" {
  description = "The name of the endpoint and of its stack; the model's and the configuration's begin with it."
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

variable "component" {
  description = "The inference component's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-zA-Z0-9](-?[a-zA-Z0-9]){0,62}$", var.component))
    error_message = "component must be 1 to 63 letters, digits and single hyphens, neither beginning nor ending with a hyphen; got \"${var.component}\"."
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
    - instance_type: the machines.
    - environment: the container's variables.
    - network_isolation: containers without any network; S3 is read and written for them from outside.
    - volume_kms_key_arn: the key of the instances' disks; null: SageMaker's own.
    - startup_timeout_seconds, download_timeout_seconds: until a container must answer /ping; until its archive must be there.
    - log_retention_days: how long the containers' logs are kept.
  EOT
  type = object({
    instance_type            = optional(string, "ml.m5.large")
    environment              = optional(map(string), {})
    network_isolation        = optional(bool, true)
    volume_kms_key_arn       = optional(string)
    startup_timeout_seconds  = optional(number, 300)
    download_timeout_seconds = optional(number, 600)
    log_retention_days       = optional(number, 30)
  })
  default  = {}
  nullable = false

  validation {
    condition     = can(regex("^ml\\.[a-z0-9-]+\\.[a-z0-9]+$", var.endpoint.instance_type))
    error_message = "endpoint.instance_type must be a SageMaker instance type, such as ml.m5.large; got \"${var.endpoint.instance_type}\"."
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
}

variable "live_copies" {
  description = "How many copies a new model begins with, so that an update keeps what was scaled out; null: one."
  type        = number
  default     = null

  validation {
    condition     = var.live_copies == null ? true : var.live_copies >= 1 && floor(var.live_copies) == var.live_copies && var.live_copies <= var.autoscaling.max_instances
    error_message = "live_copies must be null or a whole number from 1 to autoscaling.max_instances (${var.autoscaling.max_instances}); got ${jsonencode(var.live_copies)}."
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

variable "autoscaling" {
  description = <<-EOT
    How the number of copies moves, and the instances with it.
    - min_instances, max_instances: the range, of copies and of instances; min_instances 0: none where nobody asks.
    - metric, target: what is held at which value, per copy. SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution counts
      requests in flight every 10 seconds, SageMakerInferenceComponentInvocationsPerCopy requests a minute.
    - scale_in_cooldown_seconds, scale_out_cooldown_seconds: the pause after one scaling before the next.
    - copy: the cores and the memory that a copy is given. More than half of an instance's: one copy an instance.
    - policy, step, scheduled, disable_scale_in: of the autoscaling module; to be left out.
  EOT
  type = object({
    min_instances              = optional(number, 1)
    max_instances              = optional(number, 4)
    metric                     = optional(string, "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution")
    target                     = optional(number, 5)
    scale_in_cooldown_seconds  = optional(number, 300)
    scale_out_cooldown_seconds = optional(number, 300)
    copy = optional(object({
      cpu_cores = optional(number, 1)
      memory_mb = optional(number, 1024)
    }), {})
    policy           = optional(string, "target-tracking")
    step             = optional(object({}))
    scheduled        = optional(map(object({})), {})
    disable_scale_in = optional(bool, false)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.autoscaling.min_instances >= 0 && floor(var.autoscaling.min_instances) == var.autoscaling.min_instances
    error_message = "autoscaling.min_instances must be a whole number from 0; got ${var.autoscaling.min_instances}."
  }

  validation {
    condition     = var.autoscaling.max_instances >= max(var.autoscaling.min_instances, 1) && floor(var.autoscaling.max_instances) == var.autoscaling.max_instances
    error_message = "autoscaling.max_instances must be a whole number from 1 and from autoscaling.min_instances (${var.autoscaling.min_instances}); got ${var.autoscaling.max_instances}."
  }

  validation {
    condition     = contains(["SageMakerInferenceComponentInvocationsPerCopy", "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution"], var.autoscaling.metric)
    error_message = "autoscaling.metric must be SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution or SageMakerInferenceComponentInvocationsPerCopy with autoscaling.scale_to_zero, because copies are counted, not instances; got \"${var.autoscaling.metric}\"."
  }

  validation {
    condition     = var.autoscaling.target > 0
    error_message = "autoscaling.target must be above 0; got ${var.autoscaling.target}."
  }

  validation {
    condition     = alltrue([for seconds in [var.autoscaling.scale_in_cooldown_seconds, var.autoscaling.scale_out_cooldown_seconds] : seconds >= 0 && seconds <= 3600 && floor(seconds) == seconds])
    error_message = "autoscaling.scale_in_cooldown_seconds and .scale_out_cooldown_seconds must be whole numbers from 0 to 3600; got ${var.autoscaling.scale_in_cooldown_seconds} and ${var.autoscaling.scale_out_cooldown_seconds}."
  }

  validation {
    condition     = var.autoscaling.copy.cpu_cores >= 0.25 && var.autoscaling.copy.memory_mb >= 128 && floor(var.autoscaling.copy.memory_mb) == var.autoscaling.copy.memory_mb
    error_message = "autoscaling.copy must have cpu_cores from 0.25 and memory_mb as a whole number from 128; got ${jsonencode(var.autoscaling.copy)}."
  }

  validation {
    condition     = var.autoscaling.policy == "target-tracking" && var.autoscaling.step == null && length(var.autoscaling.scheduled) == 0 && !var.autoscaling.disable_scale_in
    error_message = "autoscaling.policy, .step, .scheduled and .disable_scale_in must be left out with autoscaling.scale_to_zero: target tracking goes down to zero, and an alarm of its own leaves it; got policy \"${var.autoscaling.policy}\"."
  }
}
