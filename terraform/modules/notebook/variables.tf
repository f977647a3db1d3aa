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
    - platform: the notebook's operating system and JupyterLab.
    - direct_internet_access: a way out through SageMaker's network instead of the VPC's.
    - root_access: whether its users are root.
    - idle_stop_minutes: stop it after so many idle minutes; null: never.
  EOT
  type = object({
    instance_type          = optional(string, "ml.t3.medium")
    volume_gb              = optional(number, 20)
    kms_key_arn            = optional(string)
    platform               = optional(string, "notebook-al2023-v1")
    direct_internet_access = optional(bool, false)
    root_access            = optional(bool, false)
    idle_stop_minutes      = optional(number)
  })
  default  = {}
  nullable = false
}

variable "network" {
  description = "Where the notebook runs: subnet and security groups."
  type = object({
    subnet_id          = string
    security_group_ids = list(string)
  })
  nullable = false
}

variable "role_arn" {
  description = "ARN of the role that the notebook runs with."
  type        = string
  nullable    = false
}
