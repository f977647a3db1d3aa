variable "prefix" {
  description = "The project: what every name begins with, before the stage."
  type        = string
  default     = "kennel"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.prefix)) && !strcontains(var.prefix, "--")
    error_message = "prefix must be 2 to 20 characters of a-z, 0-9 and single hyphens, begin with a letter and not end with a hyphen; got \"${var.prefix}\"."
  }

  # What belongs to a stage is also found by its name: kennel-dev would take what is named after the prefix kennel-dev-x for its own.
  validation {
    condition     = !can(regex("-(local|dev|prod)(-|$)", var.prefix))
    error_message = "prefix must not hold a stage's name after a hyphen (-local, -dev, -prod): its names would pass for those of a stage of the shorter prefix; got \"${var.prefix}\"."
  }
}

variable "stage" {
  description = "Which of the project's environments the state is of."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["local", "dev", "prod"], var.stage)
    error_message = "stage must be one of local, dev, prod; got \"${var.stage}\"."
  }
}

variable "region" {
  description = "Where the state bucket lives."
  type        = string
  default     = "us-east-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS region's name, such as us-east-1; got \"${var.region}\"."
  }
}

variable "tags" {
  description = "Tags for the bucket, besides the project's own (project, stage, managed-by)."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key in keys(var.tags) : !contains(["project", "stage", "managed-by"], lower(key))])
    error_message = "tags must not set project, stage or managed-by, which are set already; got ${jsonencode(keys(var.tags))}."
  }

  validation {
    condition = alltrue([
      for key, value in var.tags :
      can(regex("^[A-Za-z0-9 _.:/=+@-]{1,128}$", key)) && can(regex("^[A-Za-z0-9 _.:/=+@-]{0,256}$", value)) && !startswith(lower(key), "aws:")
    ])
    error_message = "tags must be at most 128 (key) and 256 (value) characters of letters, digits, spaces and _ . : / = + @ -, and no key may begin with aws:; got ${jsonencode(var.tags)}."
  }
}
