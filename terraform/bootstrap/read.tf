# What a plan reads. Where an ARN can name what is ours, it does; what is on "*" is where IAM knows no resource.

data "aws_partition" "current" {}

locals {
  arn = { for service in ["application-autoscaling", "cloudformation", "cloudwatch", "ecr", "ec2", "lambda", "logs", "sagemaker", "sns"] :
    service => "arn:${data.aws_partition.current.partition}:${service}:${var.region}:${local.account}"
  }
  roles   = "arn:${data.aws_partition.current.partition}:iam::${local.account}:role/${local.name}-*"
  buckets = "arn:${data.aws_partition.current.partition}:s3:::${local.name}-*"
  # A notebook's role and profile, the topic, the endpoint: each may have the stage's name and no more.
  sagemaker = ["${local.arn.sagemaker}:*/${local.name}", "${local.arn.sagemaker}:*/${local.name}-*"]
}

data "aws_iam_policy_document" "read" {
  statement {
    sid = "ReadTheNetwork"
    actions = [
      "ec2:DescribeAddresses",
      "ec2:DescribeAddressesAttribute",
      "ec2:DescribeAvailabilityZones",
      "ec2:DescribeFlowLogs",
      "ec2:DescribeInternetGateways",
      "ec2:DescribeManagedPrefixLists",
      "ec2:DescribeNatGateways",
      "ec2:DescribeNetworkAcls",
      "ec2:DescribeNetworkInterfaces",
      "ec2:DescribePrefixLists",
      "ec2:DescribeRouteTables",
      "ec2:DescribeSecurityGroupRules",
      "ec2:DescribeSecurityGroups",
      "ec2:DescribeSubnets",
      "ec2:DescribeVpcEndpoints",
      "ec2:DescribeVpcs",
    ]
    resources = ["*"]
  }

  statement {
    sid = "ReadTheInstance"
    actions = [
      "ec2:DescribeInstanceCreditSpecifications",
      "ec2:DescribeInstanceTypes",
      "ec2:DescribeInstances",
      "ec2:DescribeTags",
      "ec2:DescribeVolumes",
    ]
    resources = ["*"]
  }

  statement {
    # No tag: a network that is given, and AWS's own prefix lists, are not the stage's.
    sid       = "ReadAttributes"
    actions   = ["ec2:DescribeInstanceAttribute", "ec2:DescribeVpcAttribute", "ec2:GetManagedPrefixListEntries"]
    resources = ["${local.arn.ec2}:instance/*", "${local.arn.ec2}:vpc/*", "arn:${data.aws_partition.current.partition}:ec2:${var.region}:*:prefix-list/*"]
  }

  statement {
    sid       = "ReadTheImageOfInstances"
    actions   = ["ssm:GetParameter"]
    resources = ["arn:${data.aws_partition.current.partition}:ssm:${var.region}:*:parameter/aws/service/*"]
  }

  statement {
    sid = "ReadBuckets"
    actions = [
      "s3:GetAccelerateConfiguration",
      "s3:GetBucketAcl",
      "s3:GetBucketCORS",
      "s3:GetBucketLogging",
      "s3:GetBucketObjectLockConfiguration",
      "s3:GetBucketOwnershipControls",
      "s3:GetBucketPolicy",
      "s3:GetBucketPublicAccessBlock",
      "s3:GetBucketRequestPayment",
      "s3:GetBucketTagging",
      "s3:GetBucketVersioning",
      "s3:GetBucketWebsite",
      "s3:GetEncryptionConfiguration",
      "s3:GetLifecycleConfiguration",
      "s3:GetReplicationConfiguration",
      "s3:ListBucket",
    ]
    resources = [local.buckets]
  }

  statement {
    sid       = "ReadArchives"
    actions   = ["s3:GetObject", "s3:GetObjectTagging"]
    resources = ["${local.buckets}/models/*"]
  }

  statement {
    sid       = "ReadRoles"
    actions   = ["iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"]
    resources = [local.roles]
  }

  statement {
    sid       = "ReadTheInstanceProfile"
    actions   = ["iam:GetInstanceProfile"]
    resources = [replace(local.roles, ":role/", ":instance-profile/")]
  }

  statement {
    sid = "ReadTheFunction"
    actions = [
      "lambda:GetAlias",
      "lambda:GetFunction",
      "lambda:GetFunctionCodeSigningConfig",
      "lambda:GetFunctionConcurrency",
      "lambda:GetFunctionEventInvokeConfig",
      "lambda:GetFunctionUrlConfig",
      "lambda:GetProvisionedConcurrencyConfig",
      "lambda:ListVersionsByFunction",
    ]
    resources = ["${local.arn.lambda}:function:${local.name}-*"]
  }

  statement {
    # For what a review warns of: limits that are short, and names that are taken.
    sid       = "ReadLimitsAndNames"
    actions   = ["lambda:GetAccountSettings", "sagemaker:ListEndpointConfigs", "sagemaker:ListEndpoints", "sagemaker:ListModels", "servicequotas:ListServiceQuotas"]
    resources = ["*"]
  }

  statement {
    sid = "ReadTheEndpoint"
    actions = [
      "sagemaker:DescribeEndpoint",
      "sagemaker:DescribeEndpointConfig",
      "sagemaker:DescribeInferenceComponent",
      "sagemaker:DescribeModel",
      "sagemaker:DescribeNotebookInstance",
      "sagemaker:DescribeNotebookInstanceLifecycleConfig",
      "sagemaker:ListTags",
    ]
    resources = local.sagemaker
  }

  statement {
    sid       = "ReadTheStackOfAnEndpointThatScalesToZero"
    actions   = ["cloudformation:DescribeStacks", "cloudformation:GetTemplate"]
    resources = ["${local.arn.cloudformation}:stack/${local.name}-*"]
  }

  statement {
    sid = "ReadScaling"
    actions = [
      "application-autoscaling:DescribeScalableTargets",
      "application-autoscaling:DescribeScalingPolicies",
      "application-autoscaling:DescribeScheduledActions",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "ReadTagsOfScaling"
    actions   = ["application-autoscaling:ListTagsForResource"]
    resources = ["${local.arn["application-autoscaling"]}:scalable-target/*"]
  }

  statement {
    sid       = "ReadAlarms"
    actions   = ["cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource"]
    resources = ["${local.arn.cloudwatch}:alarm:*"] # an alarm that follows from nothing else: DescribeAlarms is asked for by name
  }

  statement {
    sid       = "ReadTheDashboard"
    actions   = ["cloudwatch:GetDashboard"]
    resources = ["arn:${data.aws_partition.current.partition}:cloudwatch::${local.account}:dashboard/${local.name}*"]
  }

  statement {
    sid       = "ReadLogGroups"
    actions   = ["logs:DescribeLogGroups", "logs:ListTagsForResource"]
    resources = ["${local.arn.logs}:log-group:*"]
  }

  statement {
    sid       = "ReadRepositories"
    actions   = ["ecr:DescribeRepositories", "ecr:GetLifecyclePolicy", "ecr:ListTagsForResource"]
    resources = ["${local.arn.ecr}:repository/${local.name}-*"]
  }

  statement {
    sid       = "ReadTopics"
    actions   = ["sns:GetTopicAttributes", "sns:ListTagsForResource"]
    resources = ["${local.arn.sns}:${local.name}-*"]
  }

  statement {
    sid       = "ReadSubscriptions"
    actions   = ["sns:GetSubscriptionAttributes"]
    resources = ["*"]
  }
}

data "aws_iam_policy_document" "state" {
  statement {
    sid       = "ReadTheState"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.state.arn}/kennel/terraform.tfstate"]
  }

  statement {
    sid       = "LockTheState"
    actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.state.arn}/kennel/terraform.tfstate.tflock"]
  }

  statement {
    # No more than to add: that a plan was not changed is seen by making it anew before it is applied.
    sid       = "KeepPlans"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.state.arn}/plans/*"]
  }
}
