data "aws_iam_policy_document" "lambda_interfaces" {
  statement {
    sid       = "ManageOwnInterfaces"
    actions   = ["ec2:AssignPrivateIpAddresses", "ec2:DeleteNetworkInterface", "ec2:UnassignPrivateIpAddresses"]
    resources = ["${local.arn.ec2}:network-interface/*"]

    condition {
      test     = "ArnEquals"
      variable = "ec2:Subnet"
      values   = local.subnet_arns
    }
  }

  statement {
    sid       = "DescribeTheNetwork"
    actions   = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
    resources = ["*"] # EC2 knows no resources for Describe actions
  }
}

data "aws_iam_policy_document" "lambda" {
  source_policy_documents = var.lambda.in_vpc ? [data.aws_iam_policy_document.attachment["everywhere"].json, data.aws_iam_policy_document.lambda_interfaces.json] : []

  statement {
    sid       = "AskTheEndpoint"
    actions   = ["sagemaker:InvokeEndpoint"]
    resources = local.endpoint_arns
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${var.lambda.log_group_arn}:*"]
  }

  dynamic "statement" {
    for_each = var.lambda.tracing ? ["on"] : []
    content {
      sid       = "SendTraces"
      actions   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
      resources = ["*"] # X-Ray knows no resources for them
    }
  }

  dynamic "statement" {
    for_each = var.lambda.on_failure_arn[*]
    content {
      sid       = "ReportFailedCalls"
      actions   = strcontains(statement.value, ":sqs:") ? ["sqs:SendMessage"] : ["sns:Publish"]
      resources = [statement.value]
    }
  }
}
