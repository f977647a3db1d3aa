variable "prefix" {
  description = "What every name begins with: the project and the stage, such as kennel-dev."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.prefix))
    error_message = "prefix must be 3 to 32 characters of a-z, 0-9 and hyphens, begin with a letter and not end with a hyphen; got \"${var.prefix}\"."
  }
}

variable "artifacts" {
  description = <<-EOT
    The artifact bucket: model archives (models/), the wheelhouse (wheelhouse/), jobs' scratch files.
    - kms_key_arn: encrypt with this KMS key; null: with S3's own keys.
    - force_destroy: let a destroy delete what is in the bucket. For the local stage; elsewhere `destroy` purges explicitly.
    - noncurrent_days: days until a replaced or deleted object is gone for good.
    - scratch_prefix, scratch_days: where jobs leave what nobody needs for long, and the days until it goes.
  EOT
  type = object({
    kms_key_arn     = optional(string)
    force_destroy   = optional(bool, false)
    noncurrent_days = optional(number, 30)
    scratch_prefix  = optional(string, "training/")
    scratch_days    = optional(number, 14)
  })
  default  = {}
  nullable = false
}

variable "archives" {
  description = "Model archives to keep in the bucket: SHA-256 to the path of the local model.tar.gz, which is read only when it is uploaded."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "data_bucket" {
  description = <<-EOT
    Where the photos are; null: in no bucket (training reads a local folder).
    - mode: create (a bucket of ours, named from the prefix), existing (a bucket of this account), external (another account's).
    - name, account_id: the bucket and, in mode external, the account that owns it.
    - key_prefix: the folder that the readers may see, such as dogImages/; null: the whole bucket.
    - kms_key_arn: the KMS key that the objects are encrypted with; null: S3's own keys.
  EOT
  type = object({
    mode        = optional(string, "create")
    name        = optional(string)
    account_id  = optional(string)
    key_prefix  = optional(string)
    kms_key_arn = optional(string)
  })
  default = null
}

variable "data_reader_role_arns" {
  description = "Roles that read the data bucket, by actor (a name for the statement): the principals of the other account's policy."
  type        = map(string)
  default     = {}
  nullable    = false
}
