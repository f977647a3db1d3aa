data "aws_caller_identity" "current" {}

resource "aws_sns_topic" "alarms" {
  count = var.observability.notifications == null ? 0 : 1

  name = "${var.prefix}-alarms"
  # Null, not AWS's own key alias/aws/sns: CloudWatch may not use that one, and would drop the notifications.
  kms_master_key_id = var.observability.notifications.kms_key_arn
}

locals {
  # Through a local: Terraform puts off reading a document that names a resource itself while that changes in anything, its tags
  # too, and a plan could not tell what the topic allows then.
  topic_arn = one(aws_sns_topic.alarms[*].arn)
}

data "aws_iam_policy_document" "alarms" {
  count = var.observability.notifications == null ? 0 : 1

  statement {
    sid       = "PublishAlarms"
    actions   = ["sns:Publish"]
    resources = [local.topic_arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_sns_topic_policy" "alarms" {
  count = var.observability.notifications == null ? 0 : 1

  arn    = aws_sns_topic.alarms[0].arn
  policy = data.aws_iam_policy_document.alarms[0].json
}

resource "aws_sns_topic_subscription" "emails" {
  for_each = try(var.observability.notifications.emails, toset([]))

  topic_arn = aws_sns_topic.alarms[0].arn
  protocol  = "email"
  endpoint  = each.value
}
