variable "prefix" {
  description = "What every name begins with: the project and the stage, such as kennel-dev."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.prefix))
    error_message = "prefix must be 3 to 32 characters of a-z, 0-9 and hyphens, begin with a letter and not end with a hyphen; got \"${var.prefix}\"."
  }
}

variable "permissions_boundary_arn" {
  description = "A managed policy that bounds what any of the roles may do; null: none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null ? true : can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be null or the ARN of an IAM policy; got ${jsonencode(var.permissions_boundary_arn)}."
  }
}

variable "artifacts" {
  description = "The artifact bucket, the key that it is encrypted with (null: S3's own), and its folders by use, each ending with a slash."
  type = object({
    bucket_arn        = string
    kms_key_arn       = optional(string)
    models_prefix     = string
    captures_prefix   = string
    scratch_prefix    = string
    wheelhouse_prefix = string
  })
  nullable = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:s3:::[a-z0-9.-]+$", var.artifacts.bucket_arn))
    error_message = "artifacts.bucket_arn must be the ARN of a bucket; got \"${var.artifacts.bucket_arn}\"."
  }

  validation {
    condition     = var.artifacts.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.artifacts.kms_key_arn))
    error_message = "artifacts.kms_key_arn must be null or the ARN of a KMS key; got ${jsonencode(var.artifacts.kms_key_arn)}."
  }

  validation {
    condition = alltrue([for prefix in [var.artifacts.models_prefix, var.artifacts.captures_prefix, var.artifacts.scratch_prefix, var.artifacts.wheelhouse_prefix] :
      can(regex("^[^/*?].*/$", prefix)) && !can(regex("[*?]", prefix))
    ])
    error_message = "artifacts' prefixes must each name a folder, end with a slash and hold no wildcard (an empty one would grant the whole bucket); got ${jsonencode([var.artifacts.models_prefix, var.artifacts.captures_prefix, var.artifacts.scratch_prefix, var.artifacts.wheelhouse_prefix])}."
  }
}

variable "data_reader_policy" {
  description = "The policy document (JSON) that lets a role read the photos; null: no photos in a bucket."
  type        = string
  default     = null

  validation {
    condition     = var.data_reader_policy == null ? true : can(jsondecode(var.data_reader_policy))
    error_message = "data_reader_policy must be null or a policy document in JSON; got ${jsonencode(var.data_reader_policy)}."
  }
}

variable "network" {
  description = "Where jobs and notebooks, and by choice the endpoint and the Lambda, are attached."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
  nullable = false

  validation {
    condition     = length(var.network.subnet_ids) > 0 && length(var.network.security_group_ids) > 0
    error_message = "network must have at least one of subnet_ids and of security_group_ids; got ${length(var.network.subnet_ids)} and ${length(var.network.security_group_ids)}."
  }
}

variable "endpoint" {
  description = "What the endpoint's role is for: the image that it pulls, its log group, whether it sits in the network, records requests, runs in bulk (batch transform), and has inference components. Null: no endpoint."
  type = object({
    image         = string
    log_group_arn = string
    in_vpc        = optional(bool, false)
    captures      = optional(bool, false)
    bulk          = optional(bool, false)
    components    = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.endpoint == null ? true : can(regex("^[0-9]{12}\\.dkr\\.ecr\\.[a-z0-9-]+\\.amazonaws\\.com(\\.cn)?/[a-z0-9._/-]+[:@]", var.endpoint.image))
    error_message = "endpoint.image must be an ECR image, <account>.dkr.ecr.<region>.amazonaws.com/<repository>:<tag>; got ${jsonencode(try(var.endpoint.image, null))}."
  }
}

variable "lambda" {
  description = <<-EOT
    What the function's role is for. Its own and the endpoint's names, not their ARNs, because a role is made before what
    it is for; the log group is there before the role.
  EOT
  type = object({
    endpoint_name       = string
    inference_component = optional(string)
    log_group_arn       = string
    in_vpc              = optional(bool, false)
    tracing             = optional(bool, false)
    on_failure_arn      = optional(string)
  })
  nullable = false

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,64}$", var.lambda.endpoint_name))
    error_message = "lambda.endpoint_name must be 1 to 64 letters, digits, hyphens and underscores, because a wildcard would widen the grant; got ${jsonencode(var.lambda.endpoint_name)}."
  }

  validation {
    condition     = var.lambda.inference_component == null ? true : can(regex("^[a-zA-Z0-9-]{1,63}$", var.lambda.inference_component))
    error_message = "lambda.inference_component must be null or 1 to 63 letters, digits and hyphens, because a wildcard would widen the grant; got ${jsonencode(var.lambda.inference_component)}."
  }

  validation {
    condition     = can(regex("^arn:[a-z-]+:logs:[a-z0-9-]+:[0-9]{12}:log-group:[^*:]+$", var.lambda.log_group_arn))
    error_message = "lambda.log_group_arn must be the ARN of a log group, without a wildcard; got \"${var.lambda.log_group_arn}\"."
  }
}

variable "training_image_repository_arns" {
  description = "Repositories of the images that training jobs may run; none: there is no image to run yet."
  type        = set(string)
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.training_image_repository_arns : can(regex("^arn:[a-z-]+:ecr:[a-z0-9-]+:[0-9]{12}:repository/[a-z0-9][a-z0-9._/-]*$", arn))])
    error_message = "training_image_repository_arns must be ARNs of ECR repositories without wildcards; got ${jsonencode(var.training_image_repository_arns)}."
  }
}

variable "training_instance" {
  description = "What the training instance's role is for: the log group that its runs write to. Null: no training instance."
  type = object({
    log_group_arn = string
  })
  default = null

  validation {
    condition     = var.training_instance == null ? true : can(regex("^arn:[a-z-]+:logs:[a-z0-9-]+:[0-9]{12}:log-group:[^*:]+$", var.training_instance.log_group_arn))
    error_message = "training_instance.log_group_arn must be the ARN of a log group, without a wildcard; got ${jsonencode(try(var.training_instance.log_group_arn, null))}."
  }
}

variable "notebook" {
  description = "Whether there is a notebook instance, which needs a role."
  type        = bool
  default     = false
  nullable    = false
}
