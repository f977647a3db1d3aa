variable "prefix" {
  description = "What every name begins with: the project and the stage, such as kennel-dev."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.prefix))
    error_message = "prefix must be 3 to 32 characters of a-z, 0-9 and hyphens, begin with a letter and not end with a hyphen; got \"${var.prefix}\"."
  }
}

variable "network" {
  description = <<-EOT
    The network that jobs, instances and notebooks run in.
    - mode: create (a VPC of our own), existing (vpc_id and subnet_ids), default (the account's default VPC).
    - vpc_id, subnet_ids: the existing VPC and its subnets; mode existing only.
    - cidr, availability_zones: address range and number of zones of the created VPC.
    - internet: the way out. none; public (an internet gateway, subnets with public addresses) and nat (an internet
      gateway, one NAT gateway, one Elastic IP) are for mode create; existing (the VPC has a way out of its own) for the others.
    - s3_endpoint: an S3 gateway endpoint, to our buckets and, where there is a way out, to read any other. Null: on in a created VPC only, because its policy holds for everything in
      the subnets' route tables, and would cut the neighbours in a shared VPC off from their buckets.
    - amazon_linux_repositories: without a way out, let the S3 endpoint also reach Amazon Linux 2023's package repositories.
    - interface_endpoints: AWS services to reach without a way out; each costs money by the hour.
    - flow_logs, flow_log_retention_days: flow logs of the created VPC, in CloudWatch Logs.
  EOT
  type = object({
    mode                      = optional(string, "create")
    vpc_id                    = optional(string)
    subnet_ids                = optional(set(string), [])
    cidr                      = optional(string, "10.42.0.0/16")
    availability_zones        = optional(number, 2)
    internet                  = optional(string, "none")
    s3_endpoint               = optional(bool)
    amazon_linux_repositories = optional(bool, false)
    interface_endpoints       = optional(set(string), [])
    flow_logs                 = optional(bool, true)
    flow_log_retention_days   = optional(number, 30)
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["create", "existing", "default"], var.network.mode)
    error_message = "network.mode must be one of create, existing, default; got \"${var.network.mode}\"."
  }

  validation {
    condition = var.network.mode == "existing" ? (
      var.network.vpc_id != null && length(var.network.subnet_ids) > 0
    ) : var.network.vpc_id == null && length(var.network.subnet_ids) == 0
    error_message = "network.vpc_id and network.subnet_ids go together with mode existing: both set with it, neither without it; mode is \"${var.network.mode}\"."
  }

  validation {
    condition     = var.network.vpc_id == null || can(regex("^vpc-[0-9a-f]{8,17}$", var.network.vpc_id))
    error_message = "network.vpc_id must be a VPC's id, vpc- and 8 to 17 hexadecimal digits; got \"${coalesce(var.network.vpc_id, "null")}\"."
  }

  validation {
    condition     = alltrue([for id in var.network.subnet_ids : can(regex("^subnet-[0-9a-f]{8,17}$", id))])
    error_message = "network.subnet_ids must be subnets' ids, subnet- and 8 to 17 hexadecimal digits; got ${jsonencode(var.network.subnet_ids)}."
  }

  validation {
    condition = try(
      cidrsubnet(var.network.cidr, 0, 0) == var.network.cidr
      && tonumber(split("/", var.network.cidr)[1]) >= 16
      && tonumber(split("/", var.network.cidr)[1]) <= 24
      && can(regex("^(10[.]|172[.](1[6-9]|2[0-9]|3[01])[.]|192[.]168[.])", var.network.cidr)),
      false
    )
    error_message = "network.cidr must be the first address and the length, /16 to /24, of a private range (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16); got \"${var.network.cidr}\"."
  }

  validation {
    condition     = contains(range(1, 7), var.network.availability_zones)
    error_message = "network.availability_zones must be a whole number from 1 to 6; got ${var.network.availability_zones}."
  }

  validation {
    condition     = contains(["none", "public", "nat", "existing"], var.network.internet)
    error_message = "network.internet must be one of none, public, nat, existing; got \"${var.network.internet}\"."
  }

  validation {
    condition     = contains(var.network.mode == "create" ? ["none", "public", "nat"] : ["none", "existing"], var.network.internet) || !contains(["none", "public", "nat", "existing"], var.network.internet)
    error_message = "network.internet must be none, public or nat with mode create, and none or existing with the other modes; got \"${var.network.internet}\" with mode \"${var.network.mode}\"."
  }

  validation {
    condition     = !var.network.amazon_linux_repositories || coalesce(var.network.s3_endpoint, var.network.mode == "create")
    error_message = "network.amazon_linux_repositories must be false without an S3 endpoint: set network.s3_endpoint = true, or leave the repositories to the VPC's own way out."
  }

  validation {
    condition = length(setsubtract(var.network.interface_endpoints, [
      "autoscaling", "ec2", "ec2messages", "ecr.api", "ecr.dkr", "kms", "lambda", "logs", "monitoring",
      "sagemaker.api", "sagemaker.runtime", "ssm", "ssmmessages", "sts",
    ])) == 0
    error_message = "network.interface_endpoints may hold autoscaling, ec2, ec2messages, ecr.api, ecr.dkr, kms, lambda, logs, monitoring, sagemaker.api, sagemaker.runtime, ssm, ssmmessages, sts; got ${jsonencode(var.network.interface_endpoints)}."
  }

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.network.flow_log_retention_days)
    error_message = "network.flow_log_retention_days must be one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731; got ${var.network.flow_log_retention_days}."
  }
}

variable "s3_access" {
  description = "ARNs of the buckets that the S3 gateway endpoint lets through, by what may be done with them."
  type = object({
    read_write = optional(list(string), [])
    read_only  = optional(list(string), [])
  })
  nullable = false

  validation {
    condition = alltrue([
      for arn in concat(var.s3_access.read_write, var.s3_access.read_only) :
      can(regex("^arn:aws[a-z-]*:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", arn))
    ])
    error_message = "s3_access.read_write and s3_access.read_only must be ARNs of whole buckets, arn:aws:s3:::name; got ${jsonencode(var.s3_access)}."
  }

  validation {
    condition = (
      !coalesce(var.network.s3_endpoint, var.network.mode == "create")
      || length(var.s3_access.read_write) + length(var.s3_access.read_only) > 0
    )
    error_message = "s3_access must name at least one bucket where there is an S3 endpoint: a policy without buckets would let nothing through."
  }
}

variable "permissions_boundary_arn" {
  description = "A managed policy that bounds what the flow logs' role may do; null: none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null ? true : can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be null or the ARN of an IAM policy; got ${jsonencode(var.permissions_boundary_arn)}."
  }
}
