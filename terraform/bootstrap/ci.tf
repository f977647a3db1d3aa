# Who may plan and apply the stage from a pipeline: a run proves by a token of its forge which repository, branch or
# environment it is of, and gets a session of one of two roles. No key is stored anywhere.

locals {
  account = data.aws_caller_identity.current.account_id
  name    = "${var.prefix}-${var.stage}" # what every name of the stage begins with, as the root module's local.prefix
  ci      = var.ci == null ? toset([]) : toset(["ci"])

  # Both forges as one: who issues tokens, what for, and what their subjects begin with and name.
  forge = var.ci == null ? null : (
    var.ci.github != null ? {
      issuer   = "token.actions.githubusercontent.com"
      audience = "sts.amazonaws.com"
      # A pull request's own run, and the run that looks before an apply.
      plan = ["repo:${var.ci.github.repository}:pull_request", "repo:${var.ci.github.repository}:ref:refs/heads/${var.ci.branch}"]
      # Environments alone: their rules (branch, reviewers) have been kept before the token is given.
      apply = ["repo:${var.ci.github.repository}:environment:${var.stage}", "repo:${var.ci.github.repository}:environment:${var.stage}-approval"]
      } : {
      issuer   = trimprefix(var.ci.gitlab.issuer, "https://")
      audience = "sts.amazonaws.com"
      plan     = ["project_path:${var.ci.gitlab.project}:ref_type:branch:ref:*"]
      apply    = ["project_path:${var.ci.gitlab.project}:ref_type:branch:ref:${var.ci.branch}"]
    }
  )
  # What both roles may, and the other four, which the one that applies may besides.
  policies = var.ci == null ? {} : {
    read    = { document = data.aws_iam_policy_document.read.json, description = "What a plan of ${local.name} reads." }
    state   = { document = data.aws_iam_policy_document.state.json, description = "State, lock and kept plans of ${local.name}." }
    write   = { document = data.aws_iam_policy_document.write.json, description = "What an apply and a destroy of ${local.name} change." }
    roles   = { document = data.aws_iam_policy_document.roles.json, description = "The roles of ${local.name}." }
    network = { document = data.aws_iam_policy_document.network.json, description = "The network of ${local.name}." }
    sweep   = { document = data.aws_iam_policy_document.sweep.json, description = "What a destroy of ${local.name} looks for." }
  }
  provider_arn = var.ci == null ? null : coalesce(var.ci.provider_arn, one(values(aws_iam_openid_connect_provider.forge)[*].arn))
}

resource "aws_iam_openid_connect_provider" "forge" {
  for_each = try(var.ci.provider_arn, null) == null ? local.ci : toset([])

  url            = "https://${local.forge.issuer}"
  client_id_list = [local.forge.audience]
}

data "aws_iam_policy_document" "trust" {
  for_each = var.ci == null ? {} : { plan = local.forge.plan, apply = local.forge.apply }

  statement {
    sid     = "LetThePipelineIn"
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [local.provider_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.forge.issuer}:aud"
      values   = [local.forge.audience]
    }

    condition {
      # Whole subjects, but for GitLab's branches: a merge request's run has its branch's name in it.
      test     = each.key == "plan" && var.ci.gitlab != null ? "StringLike" : "StringEquals"
      variable = "${local.forge.issuer}:sub"
      values   = each.value
    }
  }
}

resource "aws_iam_role" "plan" {
  for_each = local.ci

  # Not below the stage's own names, which the role that applies may change.
  name                 = "${var.prefix}-ci-${var.stage}-plan"
  description          = "What a pipeline plans ${local.name} as: it reads."
  assume_role_policy   = data.aws_iam_policy_document.trust["plan"].json
  permissions_boundary = var.ci.permissions_boundary_arn
}

resource "aws_iam_role" "apply" {
  for_each = local.ci

  name                 = "${var.prefix}-ci-${var.stage}-apply"
  description          = "What a pipeline applies ${local.name} as."
  max_session_duration = 10800 # an update of an endpoint may take an hour and more; cut off, it could not store the state
  assume_role_policy   = data.aws_iam_policy_document.trust["apply"].json
  permissions_boundary = var.ci.permissions_boundary_arn
}

# Several, since IAM limits the length of each.
resource "aws_iam_policy" "ci" {
  for_each = local.policies

  name        = "${var.prefix}-ci-${var.stage}-${each.key}"
  description = each.value.description
  policy      = each.value.document

  lifecycle {
    precondition {
      condition     = length(replace(each.value.document, "/\\s/", "")) <= 6144
      error_message = "The policy ${each.key} has more than the 6,144 characters that IAM takes: split it."
    }
  }
}

resource "aws_iam_role_policy_attachment" "plan" {
  for_each = toset([for name in keys(local.policies) : name if contains(["read", "state"], name)])

  role       = aws_iam_role.plan["ci"].name
  policy_arn = aws_iam_policy.ci[each.key].arn
}

resource "aws_iam_role_policy_attachment" "apply" {
  for_each = toset(keys(local.policies))

  role       = aws_iam_role.apply["ci"].name
  policy_arn = aws_iam_policy.ci[each.key].arn
}
