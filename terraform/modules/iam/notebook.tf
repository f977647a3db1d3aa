locals {
  # Through a local: Terraform puts off reading a document that names a resource itself while that changes in anything, its tags
  # too, and a plan could not tell what the notebook may do then.
  training_role_arn = aws_iam_role.actor["training"].arn
}

data "aws_iam_policy_document" "notebook" {
  count = var.notebook ? 1 : 0

  source_policy_documents = compact([
    var.data_reader_policy,
    data.aws_iam_policy_document.scratch.json,
    data.aws_iam_policy_document.uploads.json,
    data.aws_iam_policy_document.artifact_key["writers"].json,
    data.aws_iam_policy_document.interfaces["notebook"].json,
  ])

  statement {
    sid = "RunTrainingJobs"
    actions = [
      "sagemaker:AddTags",
      "sagemaker:CreateHyperParameterTuningJob",
      "sagemaker:CreateTrainingJob",
      "sagemaker:DescribeHyperParameterTuningJob",
      "sagemaker:DescribeTrainingJob",
      "sagemaker:ListTrainingJobsForHyperParameterTuningJob",
      "sagemaker:StopHyperParameterTuningJob",
      "sagemaker:StopTrainingJob",
    ]
    resources = [
      "${local.arn.sagemaker}:hyper-parameter-tuning-job/${var.prefix}-*",
      "${local.arn.sagemaker}:training-job/${var.prefix}-*",
    ]
  }

  statement {
    sid       = "HandTrainingItsRole"
    actions   = ["iam:PassRole"]
    resources = [local.training_role_arn]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["sagemaker.amazonaws.com"]
    }
  }

  statement {
    sid       = "AskTheEndpoint"
    actions   = ["sagemaker:InvokeEndpoint"]
    resources = local.endpoint_arns
  }

  statement {
    sid       = "StopWhenIdle"
    actions   = ["sagemaker:DescribeNotebookInstance", "sagemaker:StopNotebookInstance"]
    resources = ["${local.arn.sagemaker}:notebook-instance/${var.prefix}"]
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${local.arn.logs}:log-group:/aws/sagemaker/NotebookInstances:*"]
  }
}
