# Batch transform runs the endpoint's model, and a transform job acts as its model's role.

data "aws_iam_policy_document" "bulk" {
  count = try(var.endpoint.bulk, false) ? 1 : 0

  source_policy_documents = compact([var.data_reader_policy])

  statement {
    sid       = "ReadScratch" # lists of photos, and photos that were uploaded for training
    actions   = ["s3:GetObject"]
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

  statement {
    sid       = "WriteAnswers"
    actions   = ["s3:PutObject"]
    resources = ["${var.artifacts.bucket_arn}/${var.artifacts.scratch_prefix}bulk/*"]
  }

  statement {
    # One log group holds the account's transform jobs; a stream begins with its job's name, and ours begins with the prefix.
    sid       = "WriteBulkLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${local.arn.logs}:log-group:/aws/sagemaker/TransformJobs:log-stream:${var.prefix}-*"]
  }

  statement {
    sid       = "FindBulkLogs"
    actions   = ["logs:CreateLogGroup", "logs:DescribeLogStreams"]
    resources = ["${local.arn.logs}:log-group:/aws/sagemaker/TransformJobs:*"]
  }
}
