locals {
  log_groups_arn = "arn:${data.aws_partition.current.partition}:logs:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:log-group"
  flow_logs      = local.create && var.network.flow_logs

  # Through a local: Terraform puts off reading a document that names a resource itself while that changes in anything, its tags
  # too, and a plan could not tell what the role may do then.
  flow_logs_arn = one(aws_cloudwatch_log_group.flow_logs[*].arn)
}

resource "aws_cloudwatch_log_group" "flow_logs" {
  count = local.flow_logs ? 1 : 0

  name              = "/aws/vpc/${var.prefix}"
  retention_in_days = var.network.flow_log_retention_days
}

data "aws_caller_identity" "current" {}

data "aws_iam_policy_document" "flow_logs_trust" {
  count = local.flow_logs ? 1 : 0

  statement {
    sid     = "FlowLogsAssume"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["vpc-flow-logs.amazonaws.com"]
    }

    # Without it the service could be talked into using the role for another account's flow log.
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

data "aws_iam_policy_document" "flow_logs" {
  count = local.flow_logs ? 1 : 0

  statement {
    sid       = "WriteFlowLogs"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${local.flow_logs_arn}:*"]
  }

  statement {
    sid       = "FindLogGroup"
    actions   = ["logs:DescribeLogGroups"]
    resources = ["${local.log_groups_arn}:*"] # it looks through the list, which belongs to no one group
  }
}

resource "aws_iam_role" "flow_logs" {
  count = local.flow_logs ? 1 : 0

  name                 = "${var.prefix}-flow-logs"
  description          = "VPC flow logs write to their log group"
  assume_role_policy   = data.aws_iam_policy_document.flow_logs_trust[0].json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "flow_logs" {
  count = local.flow_logs ? 1 : 0

  name   = "write-flow-logs"
  role   = aws_iam_role.flow_logs[0].name
  policy = data.aws_iam_policy_document.flow_logs[0].json
}

resource "aws_flow_log" "this" {
  count = local.flow_logs ? 1 : 0

  vpc_id          = aws_vpc.this[0].id
  traffic_type    = "ALL"
  iam_role_arn    = aws_iam_role.flow_logs[0].arn
  log_destination = aws_cloudwatch_log_group.flow_logs[0].arn

  tags = { Name = var.prefix }

  # Without the role's policy the first deliveries fail and the flow log shows an access error.
  depends_on = [aws_iam_role_policy.flow_logs]
}
