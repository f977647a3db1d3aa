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
    condition     = !can(regex("-(local|dev|prod|ci)(-|$)", var.prefix))
    error_message = "prefix must not hold a stage's name or ci after a hyphen (-local, -dev, -prod, -ci): its names would pass for those of the shorter prefix; got \"${var.prefix}\"."
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

variable "ci" {
  description = <<-EOT
    The pipeline that may plan and apply the stage; null: none. One of:
    - github: repository, ORG/NAME; or ORG@1234/NAME@5678, as GitHub writes the subjects of repositories made since July 2026.
    - gitlab: project, GROUP/NAME; issuer, the server's address.
    Besides:
    - branch: what is merged into; its pushes are applied.
    - provider_arn: an OIDC provider that the account has for this issuer already; null: one is made. An account takes one an issuer.
    - permissions_boundary_arn: what every role that an apply makes has to carry, the root's permissions_boundary_arn; null: nothing.
    - plan_days: how long a plan waits for its merge, and an archive for its first apply; 0: for ever.
  EOT
  type = object({
    github = optional(object({
      repository = string
    }))
    gitlab = optional(object({
      project = string
      issuer  = optional(string, "https://gitlab.com")
    }))
    branch                   = optional(string, "main")
    provider_arn             = optional(string)
    permissions_boundary_arn = optional(string)
    plan_days                = optional(number, 30)
  })
  default = null

  validation {
    condition     = var.ci == null ? true : (var.ci.github == null) != (var.ci.gitlab == null)
    error_message = "ci must have one of github and gitlab; got ${jsonencode(var.ci)}."
  }

  # No wildcard, nor a colon with which a name would reach into the rest of the subject.
  validation {
    condition     = try(var.ci.github, null) == null ? true : can(regex("^[A-Za-z0-9][A-Za-z0-9-]*(@[0-9]+)?/[A-Za-z0-9._-]+(@[0-9]+)?$", var.ci.github.repository))
    error_message = "ci.github.repository must be ORG/NAME, or ORG@ID/NAME@ID; got ${jsonencode(try(var.ci.github.repository, null))}."
  }

  validation {
    condition     = try(var.ci.gitlab, null) == null ? true : can(regex("^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+$", var.ci.gitlab.project))
    error_message = "ci.gitlab.project must be GROUP/NAME, with all its groups; got ${jsonencode(try(var.ci.gitlab.project, null))}."
  }

  validation {
    condition     = try(var.ci.gitlab, null) == null ? true : can(regex("^https://[a-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._-]+)*$", var.ci.gitlab.issuer))
    error_message = "ci.gitlab.issuer must be the https address of the GitLab server, without a slash at its end; got ${jsonencode(try(var.ci.gitlab.issuer, null))}."
  }

  validation {
    condition     = var.ci == null ? true : can(regex("^[A-Za-z0-9][A-Za-z0-9._/-]*$", var.ci.branch))
    error_message = "ci.branch must be the name of a branch, without wildcards; got ${jsonencode(try(var.ci.branch, null))}."
  }

  validation {
    condition     = try(var.ci.provider_arn, null) == null ? true : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/.+$", var.ci.provider_arn))
    error_message = "ci.provider_arn must be null or the ARN of an OIDC provider, arn:aws:iam::<account>:oidc-provider/<issuer>; got ${jsonencode(try(var.ci.provider_arn, null))}."
  }

  validation {
    condition     = try(var.ci.permissions_boundary_arn, null) == null ? true : can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+$", var.ci.permissions_boundary_arn))
    error_message = "ci.permissions_boundary_arn must be null or the ARN of an IAM policy; got ${jsonencode(try(var.ci.permissions_boundary_arn, null))}."
  }

  validation {
    condition     = var.ci == null ? true : var.ci.plan_days >= 0 && var.ci.plan_days <= 365 && floor(var.ci.plan_days) == var.ci.plan_days
    error_message = "ci.plan_days must be a whole number from 0 to 365; got ${jsonencode(try(var.ci.plan_days, null))}."
  }
}
