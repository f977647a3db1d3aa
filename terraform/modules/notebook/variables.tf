variable "prefix" {
  description = "What every name begins with: the project and the stage, such as kennel-dev."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.prefix))
    error_message = "prefix must be 3 to 32 characters of a-z, 0-9 and hyphens, begin with a letter and not end with a hyphen; got \"${var.prefix}\"."
  }
}

variable "notebook" {
  description = <<-EOT
    The SageMaker notebook instance.
    - instance_type, volume_gb, kms_key_arn: machine, disk and its key; null: SageMaker's own key.
    - direct_internet_access: a way out through SageMaker's network instead of the VPC's.
    - root_access: whether its users are root.
    - idle_stop_minutes: stop it after so many idle minutes; null: never.
  EOT
  type = object({
    instance_type          = optional(string, "ml.t3.medium")
    volume_gb              = optional(number, 20)
    kms_key_arn            = optional(string)
    direct_internet_access = optional(bool, false)
    root_access            = optional(bool, false)
    idle_stop_minutes      = optional(number)
  })
  default  = {}
  nullable = false

  validation {
    condition     = can(regex("^ml[.][a-z][a-z0-9-]*[.](medium|large|([0-9]{1,2})?xlarge)$", var.notebook.instance_type))
    error_message = "notebook.instance_type must be a SageMaker instance type, ml.family.size, such as ml.t3.medium; got \"${var.notebook.instance_type}\"."
  }

  validation {
    condition     = var.notebook.volume_gb >= 5 && var.notebook.volume_gb <= 16384 && floor(var.notebook.volume_gb) == var.notebook.volume_gb
    error_message = "notebook.volume_gb must be a whole number from 5 to 16384; got ${var.notebook.volume_gb}."
  }

  validation {
    condition     = var.notebook.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.notebook.kms_key_arn))
    error_message = "notebook.kms_key_arn must be a KMS key's ARN, arn:aws:kms:region:account:key/id, or null; got \"${coalesce(var.notebook.kms_key_arn, "null")}\"."
  }

  validation {
    condition = (
      var.notebook.idle_stop_minutes == null
      || try(var.notebook.idle_stop_minutes >= 15 && var.notebook.idle_stop_minutes <= 1440 && floor(var.notebook.idle_stop_minutes) == var.notebook.idle_stop_minutes, false)
    )
    error_message = "notebook.idle_stop_minutes must be a whole number from 15 to 1440, or null for never; got ${coalesce(var.notebook.idle_stop_minutes, 0)}."
  }
}

variable "network" {
  description = "Where the notebook runs: subnet and security groups."
  type = object({
    subnet_id          = string
    security_group_ids = list(string)
  })
  nullable = false

  validation {
    condition     = length(var.network.security_group_ids) >= 1 && length(var.network.security_group_ids) <= 5
    error_message = "network.security_group_ids must name 1 to 5 groups; got ${length(var.network.security_group_ids)}."
  }
}

variable "role_arn" {
  description = "ARN of the role that the notebook runs with."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$", var.role_arn))
    error_message = "role_arn must be a role's ARN, arn:aws:iam::account:role/name; got \"${var.role_arn}\"."
  }
}
