variable "prefix" {
  description = "What every name begins with: the project and the stage, such as kennel-dev."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.prefix))
    error_message = "prefix must be 3 to 32 characters of a-z, 0-9 and hyphens, begin with a letter and not end with a hyphen; got \"${var.prefix}\"."
  }
}

variable "images" {
  description = "What there is a repository for: serving, training."
  type        = set(string)
  nullable    = false

  validation {
    condition     = alltrue([for image in var.images : contains(["serving", "training"], image)])
    error_message = "images may hold serving and training; got ${jsonencode(var.images)}."
  }
}
