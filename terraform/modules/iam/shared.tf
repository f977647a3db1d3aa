# Building blocks that the actors' documents are merged from.

data "aws_iam_policy_document" "artifact_key" {
  # An upload in parts is read again to be put together: who writes decrypts, too.
  for_each = { readers = ["kms:Decrypt"], writers = ["kms:Decrypt", "kms:GenerateDataKey"] }

  # The artifact bucket's own key, if it has one: without it every read and write below is refused by KMS.
  dynamic "statement" {
    for_each = var.artifacts.kms_key_arn[*]
    content {
      sid       = "UseArtifactKey"
      actions   = each.value
      resources = [statement.value]
    }
  }
}

data "aws_iam_policy_document" "scratch" {
  statement {
    sid       = "ReadAndWriteScratch"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${var.artifacts.bucket_arn}/${var.artifacts.scratch_prefix}*"]
  }

  statement {
    sid       = "ListScratch"
    actions   = ["s3:ListBucket"]
    resources = [var.artifacts.bucket_arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${var.artifacts.scratch_prefix}*"]
    }
  }
}

# For those that upload with an SDK, in parts: what breaks off is taken back, and not paid for until it expires.
data "aws_iam_policy_document" "uploads" {
  statement {
    sid       = "TakeBackUploads"
    actions   = ["s3:AbortMultipartUpload"]
    resources = ["${var.artifacts.bucket_arn}/${var.artifacts.scratch_prefix}*"]
  }
}

locals {
  subnet_arns         = [for id in var.network.subnet_ids : "${local.arn.ec2}:subnet/${id}"]
  attachments         = { everywhere = local.subnet_arns, notebook = slice(local.subnet_arns, 0, 1) } # a notebook is in the first subnet
  security_group_arns = [for id in var.network.security_group_ids : "${local.arn.ec2}:security-group/${id}"]
}

data "aws_iam_policy_document" "attachment" {
  for_each = local.attachments

  statement {
    sid       = "AttachToTheNetwork"
    actions   = ["ec2:CreateNetworkInterface"]
    resources = concat(["${local.arn.ec2}:network-interface/*"], each.value, local.security_group_arns)
  }
}

# SageMaker's, whose instances are in an account of its own: it lets that account use the interface.
data "aws_iam_policy_document" "interfaces" {
  for_each = local.attachments

  source_policy_documents = [data.aws_iam_policy_document.attachment[each.key].json]

  statement {
    sid       = "ManageOwnInterfaces"
    actions   = ["ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface", "ec2:DeleteNetworkInterfacePermission"]
    resources = ["${local.arn.ec2}:network-interface/*"]

    condition {
      test     = "ArnEquals"
      variable = "ec2:Subnet"
      values   = each.value
    }
  }

  statement {
    sid = "DescribeTheNetwork"
    actions = [
      "ec2:DescribeDhcpOptions",
      "ec2:DescribeNetworkInterfaces",
      "ec2:DescribeSecurityGroups",
      "ec2:DescribeSubnets",
      "ec2:DescribeVpcs",
    ]
    resources = ["*"] # EC2 knows no resources for Describe actions
  }
}

data "aws_iam_policy_document" "registry" {
  statement {
    sid       = "LogInToTheRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # the token is for the registry; the next statements say for which repositories it is good
  }
}

locals {
  # What a request for an answer names: the endpoint, and its inference component where it has one. SageMaker's ARNs are in lower case.
  endpoint_arns = concat(
    ["${local.arn.sagemaker}:endpoint/${lower(var.lambda.endpoint_name)}"],
    [for component in var.lambda.inference_component[*] : "${local.arn.sagemaker}:inference-component/${lower(component)}"],
  )
}
