variable "prefix" {
  description = "What every name begins with: the project and the stage, such as kennel-dev."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.prefix))
    error_message = "prefix must be 3 to 32 characters of a-z, 0-9 and hyphens, begin with a letter and not end with a hyphen; got \"${var.prefix}\"."
  }
}

variable "training_instance" {
  description = <<-EOT
    The EC2 instance that trains.
    - instance_type: an x86_64 or Graviton type; the image follows.
    - volume_gb, kms_key_arn: the encrypted gp3 disk and its key; null: the account's default EBS key.
    - install_from: pypi, which needs a way out, or wheelhouse, which needs none. Null: pypi where there is a way out.
    - python: the Python of Amazon Linux 2023 to install; the wheelhouse's wheels must fit it.
    - packages: what training needs, pinned.
  EOT
  type = object({
    instance_type = optional(string, "t2.xlarge")
    volume_gb     = optional(number, 50)
    kms_key_arn   = optional(string)
    install_from  = optional(string)
    python        = optional(string, "3.12")
    packages      = optional(list(string), [])
  })
  default  = {}
  nullable = false
}

variable "network" {
  description = "Where the instance runs: subnet, security groups, whether there is a way out to the internet, and the services with an interface endpoint."
  type = object({
    subnet_id           = string
    security_group_ids  = list(string)
    internet            = bool
    interface_endpoints = optional(set(string), [])
  })
  nullable = false
}

variable "instance_profile_name" {
  description = "Instance profile of the role that training runs with."
  type        = string
  nullable    = false
}

variable "wheelhouse_uri" {
  description = "The wheelhouse in the artifact bucket, s3://bucket/prefix/."
  type        = string
  nullable    = false
}
