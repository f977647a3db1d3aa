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
    - s3_endpoint: an S3 gateway endpoint. Null: on in a created VPC only, because its policy holds for everything in
      the subnets' route tables, and would cut the neighbours in a shared VPC off from their buckets.
    - amazon_linux_repositories: let the S3 endpoint also reach Amazon Linux 2023's package repositories.
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
}

variable "s3_access" {
  description = "ARNs of the buckets that the S3 gateway endpoint lets through, by what may be done with them."
  type = object({
    read_write = optional(list(string), [])
    read_only  = optional(list(string), [])
  })
  default  = {}
  nullable = false
}
