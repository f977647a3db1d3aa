# Training, in the two places that it happens: a SageMaker training job and an EC2 instance.

data "aws_iam_policy_document" "training" {
  source_policy_documents = compact([
    var.data_reader_policy,
    data.aws_iam_policy_document.scratch.json,
    data.aws_iam_policy_document.artifact_key["writers"].json,
    length(var.training_image_repository_arns) == 0 ? null : data.aws_iam_policy_document.registry.json,
    data.aws_iam_policy_document.interfaces["everywhere"].json,
  ])

  dynamic "statement" {
    for_each = length(var.training_image_repository_arns) == 0 ? [] : [var.training_image_repository_arns]
    content {
      sid       = "PullTheImage"
      actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      resources = statement.value
    }
  }

  statement {
    # One log group holds the account's training jobs; a stream begins with its job's name, and ours begins with the prefix.
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${local.arn.logs}:log-group:/aws/sagemaker/TrainingJobs:log-stream:${var.prefix}-*"]
  }

  statement {
    sid       = "FindLogs"
    actions   = ["logs:CreateLogGroup", "logs:DescribeLogStreams"]
    resources = ["${local.arn.logs}:log-group:/aws/sagemaker/TrainingJobs:*"]
  }

  statement {
    sid       = "PublishMetrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"] # CloudWatch knows no resources for it; the namespace is what can be limited

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = ["/aws/sagemaker/TrainingJobs"]
    }
  }
}

data "aws_iam_policy_document" "training_instance" {
  count = var.training_instance == null ? 0 : 1

  source_policy_documents = compact([
    var.data_reader_policy,
    data.aws_iam_policy_document.scratch.json,
    data.aws_iam_policy_document.uploads.json,
    data.aws_iam_policy_document.artifact_key["writers"].json,
  ])

  statement {
    sid       = "ReadWheelhouse"
    actions   = ["s3:GetObject"]
    resources = ["${var.artifacts.bucket_arn}/${var.artifacts.wheelhouse_prefix}*"]
  }

  statement {
    sid       = "ListWheelhouse"
    actions   = ["s3:ListBucket"]
    resources = [var.artifacts.bucket_arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${var.artifacts.wheelhouse_prefix}*"]
    }
  }

  # What Session Manager and Run Command need of AmazonSSMManagedInstanceCore, which could also read every parameter.
  statement {
    sid       = "RegisterWithSystemsManager"
    actions   = ["ssm:UpdateInstanceInformation"]
    resources = ["${local.arn.ec2}:instance/*"] # the role is made before the instance has its id
  }

  statement {
    sid = "OpenSessions"
    actions = [
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    resources = ["*"] # Session Manager's channels have no ARNs
  }

  # Run Command writes what training says while it runs; without these it would say nothing, and not why.
  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${var.training_instance.log_group_arn}:*"]
  }

  statement {
    sid       = "FindLogGroup"
    actions   = ["logs:DescribeLogGroups"]
    resources = ["${local.arn.logs}:log-group:*"] # it looks through the list, which belongs to no one group
  }
}
