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
    - lifecycle_rules: whether anything below expires, and unfinished uploads with it. The provider watches new rules for
      55 seconds; the local stage, which nobody keeps for days, can do without.
    - noncurrent_days: days until a replaced or deleted object is gone for good.
    - scratch_prefix, scratch_days: where jobs leave what nobody needs for long, and the days until it goes.
  EOT
  type = object({
    kms_key_arn     = optional(string)
    force_destroy   = optional(bool, false)
    lifecycle_rules = optional(bool, true)
    noncurrent_days = optional(number, 30)
    scratch_prefix  = optional(string, "training/")
    scratch_days    = optional(number, 14)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.artifacts.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.artifacts.kms_key_arn))
    error_message = "artifacts.kms_key_arn must be a KMS key's ARN, arn:aws:kms:region:account:key/id (an alias grants nothing), or null; got \"${coalesce(var.artifacts.kms_key_arn, "null")}\"."
  }

  validation {
    condition     = var.artifacts.noncurrent_days >= 1 && var.artifacts.noncurrent_days <= 3650 && floor(var.artifacts.noncurrent_days) == var.artifacts.noncurrent_days
    error_message = "artifacts.noncurrent_days must be a whole number from 1 to 3650; got ${var.artifacts.noncurrent_days}."
  }

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9/_-]*/$", var.artifacts.scratch_prefix))
    error_message = "artifacts.scratch_prefix must be a folder of a-z, 0-9, _, - and /, such as training/: no slash in front, one at the end; got \"${var.artifacts.scratch_prefix}\"."
  }

  validation {
    condition     = !anytrue([for kept in ["models/", "wheelhouse/", "captures/"] : startswith(var.artifacts.scratch_prefix, kept)])
    error_message = "artifacts.scratch_prefix must not be in models/, wheelhouse/ or captures/, which are to stay; got \"${var.artifacts.scratch_prefix}\"."
  }

  validation {
    condition     = var.artifacts.scratch_days >= 1 && var.artifacts.scratch_days <= 365 && floor(var.artifacts.scratch_days) == var.artifacts.scratch_days
    error_message = "artifacts.scratch_days must be a whole number from 1 to 365; got ${var.artifacts.scratch_days}."
  }
}

variable "archives" {
  description = "Model archives to keep in the bucket: SHA-256 to the path of the local model.tar.gz, which is read only when it is uploaded."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for sha256 in keys(var.archives) : can(regex("^[0-9a-f]{64}$", sha256))])
    error_message = "archives' keys must be SHA-256 digests, 64 digits of 0-9 and a-f; got ${jsonencode(keys(var.archives))}."
  }

  validation {
    condition     = alltrue([for path in values(var.archives) : endswith(path, ".tar.gz")])
    error_message = "archives' values must be paths of files that end with .tar.gz; got ${jsonencode(values(var.archives))}."
  }
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

  validation {
    condition     = try(contains(["create", "existing", "external"], var.data_bucket.mode), var.data_bucket == null)
    error_message = "data_bucket.mode must be one of create, existing, external; got ${jsonencode(try(var.data_bucket.mode, null))}."
  }

  validation {
    condition     = try(var.data_bucket.mode == "create" || var.data_bucket.name != null, true)
    error_message = "data_bucket.name must be set with mode existing or external; only with mode create may it be null, which derives it from the prefix."
  }

  validation {
    condition = (
      try(var.data_bucket.name, null) == null
      || can(regex("^[a-z0-9]([a-z0-9-]|[.][a-z0-9-]){1,61}[a-z0-9]$", var.data_bucket.name)) && try(length(var.data_bucket.name) <= 63, false)
    )
    error_message = "data_bucket.name must be a bucket's name: 3 to 63 characters of a-z, 0-9, dots and hyphens, a letter or digit at both ends, no two dots in a row; got ${jsonencode(try(var.data_bucket.name, null))}."
  }

  validation {
    condition = var.data_bucket == null || try(
      var.data_bucket.mode == "external" ? can(regex("^[0-9]{12}$", var.data_bucket.account_id)) : var.data_bucket.account_id == null,
      false
    )
    error_message = "data_bucket.account_id must be the 12 digits of the owner's account with mode external, and null with create and existing; got ${jsonencode(try(var.data_bucket.account_id, null))} with mode ${jsonencode(try(var.data_bucket.mode, null))}."
  }

  validation {
    condition     = try(var.data_bucket.key_prefix, null) == null || can(regex("^[^/*?$][^*?$]*/$", var.data_bucket.key_prefix))
    error_message = "data_bucket.key_prefix must be a folder, such as dogImages/: no slash in front, one at the end, none of * ? $, which a policy would read as patterns; or null; got ${jsonencode(try(var.data_bucket.key_prefix, null))}."
  }

  validation {
    condition     = try(var.data_bucket.kms_key_arn, null) == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.data_bucket.kms_key_arn))
    error_message = "data_bucket.kms_key_arn must be a KMS key's ARN, arn:aws:kms:region:account:key/id (an alias grants nothing), or null; got ${jsonencode(try(var.data_bucket.kms_key_arn, null))}."
  }
}

variable "data_reader_role_arns" {
  description = "Roles that read the data bucket, by actor (a name for the statement): the principals of the other account's policy."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for actor in keys(var.data_reader_role_arns) : can(regex("^[a-z][a-z0-9_]*$", actor))])
    error_message = "data_reader_role_arns' keys must be names of actors, a-z, 0-9 and _, a letter first, because statements are named after them; got ${jsonencode(keys(var.data_reader_role_arns))}."
  }

  validation {
    condition     = alltrue([for arn in values(var.data_reader_role_arns) : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$", arn))])
    error_message = "data_reader_role_arns' values must be roles' ARNs, arn:aws:iam::account:role/name; got ${jsonencode(values(var.data_reader_role_arns))}."
  }
}
