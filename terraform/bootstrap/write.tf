# What an apply and a destroy change, besides what a plan reads. Names begin with the stage's; where IAM knows no name,
# the tag kennel:stage tells what is ours.

locals {
  tagged = "aws:ResourceTag/kennel:stage" # the root module's tags
  ec2_makes = [
    "ec2:AllocateAddress",
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:CreateFlowLogs",
    "ec2:CreateInternetGateway",
    "ec2:CreateNatGateway",
    "ec2:CreateRouteTable",
    "ec2:CreateSecurityGroup",
    "ec2:CreateSubnet",
    "ec2:CreateVpc",
    "ec2:CreateVpcEndpoint",
    "ec2:RunInstances",
  ]
  ec2_types = ["elastic-ip", "instance", "internet-gateway", "natgateway", "route-table", "security-group", "subnet", "vpc", "vpc-endpoint", "vpc-flow-log"]
  own_buckets = [
    "arn:${data.aws_partition.current.partition}:s3:::${local.name}-artifacts-*",
    "arn:${data.aws_partition.current.partition}:s3:::${local.name}-data-*",
  ]
}

data "aws_iam_policy_document" "write" {
  statement {
    sid       = "WriteTheState"
    actions   = ["s3:PutObject"]
    resources = ["${aws_s3_bucket.state.arn}/kennel/terraform.tfstate"]
  }

  statement {
    # The bucket of the state is none of them: it outlives what it describes.
    sid = "ChangeBuckets"
    actions = [
      "s3:CreateBucket",
      "s3:DeleteBucket",
      "s3:DeleteBucketPolicy",
      "s3:ListBucketVersions",
      "s3:PutBucketOwnershipControls",
      "s3:PutBucketPolicy",
      "s3:PutBucketPublicAccessBlock",
      "s3:PutBucketTagging",
      "s3:PutBucketVersioning",
      "s3:PutEncryptionConfiguration",
      "s3:PutLifecycleConfiguration",
    ]
    resources = local.own_buckets
  }

  statement {
    sid = "ChangeObjects"
    actions = [
      "s3:AbortMultipartUpload",
      "s3:DeleteObject",
      "s3:DeleteObjectVersion",
      "s3:GetObject",
      "s3:PutObject",
      "s3:PutObjectTagging",
    ]
    resources = ["${local.own_buckets[0]}/*"]
  }

  statement {
    sid = "ChangeTheFunction"
    actions = [
      "lambda:AddPermission",
      "lambda:CreateAlias",
      "lambda:CreateFunction",
      "lambda:CreateFunctionUrlConfig",
      "lambda:DeleteAlias",
      "lambda:DeleteFunction",
      "lambda:DeleteFunctionConcurrency",
      "lambda:DeleteFunctionEventInvokeConfig",
      "lambda:DeleteFunctionUrlConfig",
      "lambda:DeleteProvisionedConcurrencyConfig",
      "lambda:InvokeFunction", # asked about the golden photo after an apply
      "lambda:PublishVersion",
      "lambda:PutFunctionConcurrency",
      "lambda:PutFunctionEventInvokeConfig",
      "lambda:PutProvisionedConcurrencyConfig",
      "lambda:RemovePermission",
      "lambda:TagResource",
      "lambda:UntagResource",
      "lambda:UpdateAlias",
      "lambda:UpdateFunctionCode",
      "lambda:UpdateFunctionConfiguration",
      "lambda:UpdateFunctionEventInvokeConfig",
      "lambda:UpdateFunctionUrlConfig",
    ]
    resources = ["${local.arn.lambda}:function:${local.name}-*"]
  }

  statement {
    sid = "ChangeTheEndpoint"
    actions = [
      "sagemaker:AddTags",
      "sagemaker:CreateEndpoint",
      "sagemaker:CreateEndpointConfig",
      "sagemaker:CreateInferenceComponent",
      "sagemaker:CreateModel",
      "sagemaker:DeleteEndpoint",
      "sagemaker:DeleteEndpointConfig",
      "sagemaker:DeleteInferenceComponent",
      "sagemaker:DeleteModel",
      "sagemaker:DeleteTags",
      "sagemaker:UpdateEndpoint",
      "sagemaker:UpdateInferenceComponent",
      "sagemaker:UpdateInferenceComponentRuntimeConfig",
    ]
    resources = local.sagemaker
  }

  statement {
    sid = "ChangeTheNotebook"
    actions = [
      "sagemaker:CreateNotebookInstance",
      "sagemaker:CreateNotebookInstanceLifecycleConfig",
      "sagemaker:DeleteNotebookInstance",
      "sagemaker:DeleteNotebookInstanceLifecycleConfig",
      "sagemaker:StartNotebookInstance",
      "sagemaker:StopNotebookInstance",
      "sagemaker:UpdateNotebookInstance",
      "sagemaker:UpdateNotebookInstanceLifecycleConfig",
    ]
    resources = local.sagemaker
  }

  statement {
    sid       = "ChangeTheStackOfAnEndpointThatScalesToZero"
    actions   = ["cloudformation:CreateStack", "cloudformation:DeleteStack", "cloudformation:TagResource", "cloudformation:UpdateStack"]
    resources = ["${local.arn.cloudformation}:stack/${local.name}-*"]
  }

  statement {
    sid = "ChangeScaling"
    actions = [
      "application-autoscaling:DeleteScalingPolicy",
      "application-autoscaling:DeleteScheduledAction",
      "application-autoscaling:DeregisterScalableTarget",
      "application-autoscaling:PutScalingPolicy",
      "application-autoscaling:PutScheduledAction",
      "application-autoscaling:RegisterScalableTarget",
      "application-autoscaling:TagResource",
      "application-autoscaling:UntagResource",
    ]
    resources = ["${local.arn["application-autoscaling"]}:scalable-target/*"]
  }

  statement {
    sid     = "ChangeAlarms"
    actions = ["cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource", "cloudwatch:UntagResource"]
    resources = [
      "${local.arn.cloudwatch}:alarm:${local.name}-*",
      "${local.arn.cloudwatch}:alarm:TargetTracking-endpoint/${local.name}*",
      "${local.arn.cloudwatch}:alarm:TargetTracking-inference-component/${local.name}*",
    ]
  }

  statement {
    sid       = "ChangeTheDashboard"
    actions   = ["cloudwatch:DeleteDashboards", "cloudwatch:PutDashboard"]
    resources = ["arn:${data.aws_partition.current.partition}:cloudwatch::${local.account}:dashboard/${local.name}"]
  }

  statement {
    sid = "ChangeLogGroups"
    actions = [
      "logs:CreateLogGroup",
      "logs:DeleteLogGroup",
      "logs:DeleteRetentionPolicy",
      "logs:DescribeLogStreams",
      "logs:ListTagsLogGroup",
      "logs:PutRetentionPolicy",
      "logs:TagResource",
      "logs:UntagResource",
    ]
    resources = [for end in ["", ":*", "-*"] : "${local.arn.logs}:log-group:/aws/*/${local.name}${end}"]
  }

  statement {
    sid = "ChangeRepositories"
    actions = [
      "ecr:CreateRepository",
      "ecr:DeleteLifecyclePolicy",
      "ecr:DeleteRepository",
      "ecr:PutImageScanningConfiguration",
      "ecr:PutImageTagMutability",
      "ecr:PutLifecyclePolicy",
      "ecr:TagResource",
      "ecr:UntagResource",
    ]
    resources = ["${local.arn.ecr}:repository/${local.name}-*"]
  }

  statement {
    sid = "ChangeTopics"
    actions = [
      "sns:CreateTopic",
      "sns:DeleteTopic",
      "sns:SetTopicAttributes",
      "sns:Subscribe",
      "sns:TagResource",
      "sns:UntagResource",
    ]
    resources = ["${local.arn.sns}:${local.name}-*"]
  }

  statement {
    sid       = "EndSubscriptions"
    actions   = ["sns:Unsubscribe"]
    resources = ["*"]
  }
}

# What a destroy looks for, to prove that nothing is left.
data "aws_iam_policy_document" "sweep" {
  statement {
    sid = "LookForLeftovers"
    actions = [
      "cloudwatch:ListDashboards",
      "ec2:DescribeRegions",
      "iam:ListInstanceProfiles",
      "iam:ListRoles",
      "lambda:ListFunctions",
      "s3:ListAllMyBuckets",
      "sagemaker:ListHyperParameterTuningJobs",
      "sagemaker:ListInferenceComponents",
      "sagemaker:ListNotebookInstanceLifecycleConfigs",
      "sagemaker:ListNotebookInstances",
      "sagemaker:ListTrainingJobs",
      "sagemaker:ListTransformJobs",
      "sns:ListTopics",
      "tag:GetResources",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "LookForLeftoversByKind"
    actions   = ["cloudformation:DescribeStacks", "ecr:DescribeRepositories"]
    resources = ["${local.arn.cloudformation}:stack/*", "${local.arn.ecr}:repository/*"]
  }

  statement {
    sid       = "TellWhatIsOurs"
    actions   = ["iam:ListRoleTags", "lambda:ListTags"]
    resources = [local.roles, "${local.arn.lambda}:function:${local.name}-*"]
  }

  statement {
    sid = "StopJobs"
    actions = [
      "sagemaker:DescribeHyperParameterTuningJob",
      "sagemaker:DescribeTrainingJob",
      "sagemaker:DescribeTransformJob",
      "sagemaker:ListTrainingJobsForHyperParameterTuningJob",
      "sagemaker:StopHyperParameterTuningJob",
      "sagemaker:StopTrainingJob",
      "sagemaker:StopTransformJob",
    ]
    resources = local.sagemaker
  }
}

data "aws_iam_policy_document" "roles" {
  statement {
    # A role that an apply makes may do no more than the boundary allows, where one is given.
    sid = "MakeRoles"
    actions = [
      "iam:CreateRole",
      "iam:PutRolePolicy",
    ]
    resources = [local.roles]

    dynamic "condition" {
      for_each = try(var.ci.permissions_boundary_arn, null)[*]
      content {
        test     = "StringEquals"
        variable = "iam:PermissionsBoundary"
        values   = [condition.value]
      }
    }
  }

  statement {
    sid = "ChangeRoles"
    actions = [
      "iam:DeleteRole",
      "iam:DeleteRolePolicy",
      "iam:ListInstanceProfilesForRole",
      "iam:TagRole",
      "iam:UntagRole",
      "iam:UpdateAssumeRolePolicy",
      "iam:UpdateRole",
      "iam:UpdateRoleDescription",
    ]
    resources = [local.roles]
  }

  statement {
    sid = "ChangeTheInstanceProfile"
    actions = [
      "iam:AddRoleToInstanceProfile",
      "iam:CreateInstanceProfile",
      "iam:DeleteInstanceProfile",
      "iam:RemoveRoleFromInstanceProfile",
      "iam:TagInstanceProfile",
    ]
    resources = [replace(local.roles, ":role/", ":instance-profile/")]
  }

  statement {
    sid       = "PassOurRoles"
    actions   = ["iam:PassRole"]
    resources = [local.roles]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = [for service in ["ec2", "lambda", "sagemaker", "vpc-flow-logs"] : "${service}.amazonaws.com"]
    }
  }

  statement {
    sid       = "LetScalingMakeItsRole"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["arn:${data.aws_partition.current.partition}:iam::${local.account}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/*"]
  }
}

data "aws_iam_policy_document" "network" {
  statement {
    # What is made has to carry the stage's tag from the beginning.
    sid       = "MakeWithTheTag"
    actions   = local.ec2_makes
    resources = [for type in local.ec2_types : "${local.arn.ec2}:${type}/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/kennel:stage"
      values   = [local.name]
    }
  }

  statement {
    # What it is made in, or of, is ours, too.
    sid       = "MakeInOurs"
    actions   = local.ec2_makes
    resources = [for type in ["elastic-ip", "route-table", "security-group", "subnet", "vpc"] : "${local.arn.ec2}:${type}/*"]

    condition {
      test     = "StringEquals"
      variable = local.tagged
      values   = [local.name]
    }
  }

  statement {
    # Neither an image, nor what is made beside an instance, nor a rule of a group that is ours carries a tag by then.
    sid     = "MakeWhatCarriesNoTag"
    actions = ["ec2:AuthorizeSecurityGroupEgress", "ec2:AuthorizeSecurityGroupIngress", "ec2:ModifySecurityGroupRules", "ec2:RunInstances"]
    resources = [
      "arn:${data.aws_partition.current.partition}:ec2:${var.region}::image/*",
      "${local.arn.ec2}:network-interface/*",
      "${local.arn.ec2}:security-group-rule/*",
      "${local.arn.ec2}:volume/*",
      "arn:${data.aws_partition.current.partition}:ec2:${var.region}:*:prefix-list/*",
    ]
  }

  statement {
    sid       = "TagWhatIsMade"
    actions   = ["ec2:CreateTags"]
    resources = ["${local.arn.ec2}:*/*"]

    condition {
      test     = "StringEquals"
      variable = "ec2:CreateAction"
      values   = [for action in local.ec2_makes : trimprefix(action, "ec2:")]
    }
  }

  statement {
    # AWS makes a network's first group, and an instance's disk, without tags.
    sid       = "TagWhatCameWithIt"
    actions   = ["ec2:CreateTags"]
    resources = ["${local.arn.ec2}:security-group/*", "${local.arn.ec2}:volume/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/kennel:stage"
      values   = [local.name]
    }

    condition {
      test     = "Null"
      variable = local.tagged
      values   = ["true"]
    }
  }

  statement {
    sid = "ChangeWhatIsOurs"
    actions = [
      "ec2:AssociateRouteTable",
      "ec2:AttachInternetGateway",
      "ec2:CreateRoute",
      "ec2:CreateTags",
      "ec2:DeleteFlowLogs",
      "ec2:DeleteInternetGateway",
      "ec2:DeleteNatGateway",
      "ec2:DeleteRoute",
      "ec2:DeleteRouteTable",
      "ec2:DeleteSecurityGroup",
      "ec2:DeleteSubnet",
      "ec2:DeleteTags",
      "ec2:DeleteVolume",
      "ec2:DeleteVpc",
      "ec2:DeleteVpcEndpoints",
      "ec2:DetachInternetGateway",
      "ec2:DisassociateAddress",
      "ec2:DisassociateRouteTable",
      "ec2:ModifyInstanceAttribute",
      "ec2:ModifySecurityGroupRules",
      "ec2:ModifySubnetAttribute",
      "ec2:ModifyVpcAttribute",
      "ec2:ModifyVpcEndpoint",
      "ec2:ReleaseAddress",
      "ec2:RevokeSecurityGroupEgress",
      "ec2:RevokeSecurityGroupIngress",
      "ec2:StartInstances",
      "ec2:StopInstances",
      "ec2:TerminateInstances",
    ]
    resources = ["${local.arn.ec2}:*/*"]

    condition {
      test     = "StringEquals"
      variable = local.tagged
      values   = [local.name]
    }
  }

  statement {
    # What a function or an endpoint leaves in our subnets carries no tag of ours; what is in use cannot be deleted.
    sid       = "FreeInterfaces"
    actions   = ["ec2:DeleteNetworkInterface", "ec2:DisassociateAddress"]
    resources = ["${local.arn.ec2}:network-interface/*"]
  }

  statement {
    sid       = "LookAtImages" # for the instance's disk, when it is made
    actions   = ["ec2:DescribeImages"]
    resources = ["*"]
  }
}
