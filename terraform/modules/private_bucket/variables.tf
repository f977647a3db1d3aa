variable "bucket" {
  description = "The bucket to protect. Its owner makes it, because lifecycle rules such as prevent_destroy cannot be passed to a module."
  type = object({
    id  = string
    arn = string
  })
  nullable = false
}

variable "kms_key_arn" {
  description = "The KMS key that encrypts new objects; null: S3's own keys."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be a KMS key's ARN, arn:aws:kms:region:account:key/id (an alias is not enough), or null; got \"${coalesce(var.kms_key_arn, "null")}\"."
  }
}

variable "abort_upload_days" {
  description = "Days until the parts of an upload that nobody finished go; null: never. With nothing that expires there is no lifecycle configuration."
  type        = number
  default     = 7

  validation {
    condition     = var.abort_upload_days == null || try(var.abort_upload_days >= 1 && floor(var.abort_upload_days) == var.abort_upload_days, false)
    error_message = "abort_upload_days must be a whole number of at least 1, or null; got ${coalesce(var.abort_upload_days, 0)}."
  }
}

variable "noncurrent_days" {
  description = "Days until a replaced or deleted object is gone for good; null: never."
  type        = number
  default     = null

  validation {
    condition     = var.noncurrent_days == null || try(var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days, false)
    error_message = "noncurrent_days must be a whole number of at least 1, or null; got ${coalesce(var.noncurrent_days, 0)}."
  }
}

variable "expirations" {
  description = "What expires: rule name to key prefix and days, and days until what has expired is gone for good; null: as noncurrent_days says."
  type = map(object({
    prefix          = string
    days            = number
    noncurrent_days = optional(number)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for rule in var.expirations : can(regex("^[^/].*/$", rule.prefix))])
    error_message = "expirations' prefixes must be folders, such as training/: not empty, no slash in front, one at the end; got ${jsonencode(var.expirations)}."
  }

  validation {
    condition     = alltrue([for days in flatten([for rule in var.expirations : [rule.days, coalesce(rule.noncurrent_days, 1)]]) : days >= 1 && floor(days) == days])
    error_message = "expirations' days and noncurrent_days must be whole numbers of at least 1; got ${jsonencode(var.expirations)}."
  }
}
