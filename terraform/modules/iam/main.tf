data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name

  # "arn:aws:SERVICE:us-east-1:123456789012" with SERVICE to be put in.
  arn = { for service in ["ec2", "logs", "sagemaker"] : service => "arn:${local.partition}:${service}:${local.region}:${local.account}" }

  # Every actor: the service that takes the role on, and for which of its resources.
  actors = {
    for name, actor in {
      endpoint = {
        exists  = var.endpoint != null
        service = "sagemaker"
        # Model, endpoint configuration and endpoint: SageMaker does not document which of them it comes as.
        sources = ["${local.arn.sagemaker}:*"]
      }
      training = {
        exists  = true
        service = "sagemaker"
        sources = ["${local.arn.sagemaker}:training-job/${var.prefix}-*", "${local.arn.sagemaker}:hyper-parameter-tuning-job/${var.prefix}-*"]
      }
      training_instance = {
        exists  = var.training_instance != null
        service = "ec2"
        sources = [] # EC2 sends no source with it; a role can be passed within its own account only.
      }
      lambda = {
        exists  = true
        service = "lambda"
        sources = [] # Lambda is not documented to send one either.
      }
      notebook = {
        exists  = var.notebook
        service = "sagemaker"
        sources = ["${local.arn.sagemaker}:notebook-instance/${var.prefix}"]
      }
    } : name => actor if actor.exists
  }

  # What each may do. Apart from the above, because the notebook's document names the training role.
  policies = {
    endpoint          = one(data.aws_iam_policy_document.endpoint[*].json)
    training          = data.aws_iam_policy_document.training.json
    training_instance = one(data.aws_iam_policy_document.training_instance[*].json)
    lambda            = data.aws_iam_policy_document.lambda.json
    notebook          = one(data.aws_iam_policy_document.notebook[*].json)
  }
}

data "aws_iam_policy_document" "trust" {
  for_each = local.actors

  statement {
    sid     = "LetTheServiceIn"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["${each.value.service}.amazonaws.com"]
    }

    # Against the confused deputy: not for somebody else's account, nor for anything but what the role is for.
    dynamic "condition" {
      for_each = length(each.value.sources) > 0 ? [local.account] : []
      content {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [condition.value]
      }
    }
    dynamic "condition" {
      for_each = length(each.value.sources) > 0 ? [each.value.sources] : []
      content {
        test     = "ArnLike"
        variable = "aws:SourceArn"
        values   = condition.value
      }
    }
  }
}

resource "aws_iam_role" "actor" {
  for_each = local.actors

  name                 = "${var.prefix}-${replace(each.key, "_", "-")}"
  description          = "What the ${replace(each.key, "_", " ")} of ${var.prefix} runs as."
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "actor" {
  for_each = local.actors

  name   = each.key
  role   = aws_iam_role.actor[each.key].name
  policy = local.policies[each.key]
}

resource "aws_iam_instance_profile" "training_instance" {
  count = var.training_instance == null ? 0 : 1

  name = aws_iam_role.actor["training_instance"].name
  role = aws_iam_role.actor["training_instance"].name
}
