locals {
  # 1: account, 2: region, 3: repository
  image_parts = var.endpoint == null ? null : regex("^([0-9]{12})\\.dkr\\.ecr\\.([a-z0-9-]+)\\.amazonaws\\.com(?:\\.cn)?/([a-z0-9._/-]+)[:@]", var.endpoint.image)
}

data "aws_iam_policy_document" "endpoint" {
  count = var.endpoint == null ? 0 : 1

  source_policy_documents = concat(
    [data.aws_iam_policy_document.registry.json, data.aws_iam_policy_document.artifact_key[var.endpoint.captures || var.endpoint.bulk ? "writers" : "readers"].json],
    var.endpoint.in_vpc ? [data.aws_iam_policy_document.interfaces["everywhere"].json] : [],
    data.aws_iam_policy_document.bulk[*].json,
  )

  statement {
    sid       = "ReadModels"
    actions   = ["s3:GetObject"]
    resources = ["${var.artifacts.bucket_arn}/${var.artifacts.models_prefix}*"]
  }

  statement {
    sid       = "PullTheImage"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = ["arn:${local.partition}:ecr:${local.image_parts[1]}:${local.image_parts[0]}:repository/${local.image_parts[2]}"]
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${var.endpoint.log_group_arn}:*"]
  }

  statement {
    sid       = "PublishInstanceMetrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"] # CloudWatch knows no resources for it; the namespace is what can be limited

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = concat(["/aws/sagemaker/Endpoints"], var.endpoint.bulk ? ["/aws/sagemaker/TransformJobs"] : [], var.endpoint.components ? ["/aws/sagemaker/InferenceComponents"] : [])
    }
  }

  dynamic "statement" {
    for_each = var.endpoint.captures ? [var.artifacts.captures_prefix] : []
    content {
      sid       = "RecordRequests"
      actions   = ["s3:PutObject"]
      resources = ["${var.artifacts.bucket_arn}/${statement.value}*"]
    }
  }
}
