# The real provider, because the policy documents are what matters here, and it makes them without a call. What would call
# is overridden.
provider "aws" {
  region                      = "us-east-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

variables {
  prefix = "kennel-dev"
  artifacts = {
    bucket_arn        = "arn:aws:s3:::kennel-dev-artifacts"
    models_prefix     = "models/"
    captures_prefix   = "captures/"
    scratch_prefix    = "training/"
    wheelhouse_prefix = "wheelhouse/"
  }
  data_reader_policy = <<-EOT
    {"Version": "2012-10-17", "Statement": [
      {"Sid": "ReadPhotos", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*"}
    ]}
  EOT
  network = {
    subnet_ids         = ["subnet-1", "subnet-2"]
    security_group_ids = ["sg-1"]
  }
  endpoint = {
    image         = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu"
    log_group_arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/kennel-dev"
  }
  lambda = {
    endpoint_name = "kennel-dev"
    log_group_arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/kennel-dev-classify"
  }
  training_image_repository_arns = ["arn:aws:ecr:us-east-1:763104351884:repository/pytorch-training"]
  training_instance = {
    log_group_arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/ssm/kennel-dev-training"
  }
  notebook = true
}

run "makes_a_role_for_each_actor" {
  command = plan

  assert {
    condition     = toset(keys(aws_iam_role.actor)) == toset(["endpoint", "training", "training_instance", "lambda", "notebook"])
    error_message = "Every actor must have a role of its own."
  }
  assert {
    condition     = alltrue([for actor, role in aws_iam_role.actor : role.name == "kennel-dev-${replace(actor, "_", "-")}" && aws_iam_role_policy.actor[actor].role == role.name])
    error_message = "Every role must be named from the prefix and have its own policy."
  }
}

run "makes_no_role_for_an_actor_that_is_not_there" {
  command = plan

  variables {
    endpoint          = null
    training_instance = null
    notebook          = false
  }

  assert {
    condition     = toset(keys(aws_iam_role.actor)) == toset(["training", "lambda"]) && length(aws_iam_instance_profile.training_instance) == 0
    error_message = "Only training jobs and the Lambda always have a role."
  }
}

run "lets_only_the_service_in_and_sagemaker_for_our_own_account_only" {
  command = plan

  assert {
    condition = jsondecode(aws_iam_role.actor["lambda"].assume_role_policy).Statement[0].Principal.Service == "lambda.amazonaws.com" && (
      !can(jsondecode(aws_iam_role.actor["lambda"].assume_role_policy).Statement[0].Condition)
    )
    error_message = "The Lambda's role must be for Lambda, without a condition that Lambda may not meet."
  }
  assert {
    condition = alltrue([for actor in ["endpoint", "training", "notebook"] :
      jsondecode(aws_iam_role.actor[actor].assume_role_policy).Statement[0].Principal.Service == "sagemaker.amazonaws.com"
      && jsondecode(aws_iam_role.actor[actor].assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    ])
    error_message = "SageMaker's roles must be for this account only."
  }
  assert {
    condition     = jsondecode(aws_iam_role.actor["training_instance"].assume_role_policy).Statement[0].Principal.Service == "ec2.amazonaws.com"
    error_message = "The training instance's role must be for EC2."
  }
}

run "lets_the_lambda_ask_the_one_endpoint_and_write_its_own_logs" {
  command = plan

  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.actor["lambda"].policy).Statement : [statement.Sid, statement.Action, statement.Resource]] == [
      ["AskTheEndpoint", "sagemaker:InvokeEndpoint", "arn:aws:sagemaker:us-east-1:123456789012:endpoint/kennel-dev"],
      ["WriteLogs", ["logs:PutLogEvents", "logs:CreateLogStream"], "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/kennel-dev-classify:*"],
    ]
    error_message = "The Lambda must be able to do these two things and nothing else; got ${aws_iam_role_policy.actor["lambda"].policy}."
  }
}

run "lets_the_lambda_trace_attach_and_report_by_choice" {
  command = plan

  variables {
    lambda = {
      endpoint_name  = "kennel-dev"
      log_group_arn  = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/kennel-dev-classify"
      in_vpc         = true
      tracing        = true
      on_failure_arn = "arn:aws:sns:us-east-1:123456789012:failed"
    }
  }

  assert {
    condition = length(setsubtract(
      ["SendTraces", "ReportFailedCalls", "AttachToTheNetwork", "ManageOwnInterfaces", "DescribeTheNetwork"],
      [for statement in jsondecode(aws_iam_role_policy.actor["lambda"].policy).Statement : statement.Sid],
    )) == 0
    error_message = "Tracing, the VPC and the failure destination each need their statement."
  }
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.actor["lambda"].policy).Statement : [statement.Action, statement.Resource] if statement.Sid == "ReportFailedCalls"] == [
      ["sns:Publish", "arn:aws:sns:us-east-1:123456789012:failed"]
    ]
    error_message = "A topic is published to."
  }
}

run "lets_the_endpoint_read_models_pull_its_image_and_write_its_own_logs" {
  command = plan

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.actor["endpoint"].policy).Statement : statement.Sid => statement.Resource } == {
      LogInToTheRegistry     = "*"
      ReadModels             = "arn:aws:s3:::kennel-dev-artifacts/models/*"
      PullTheImage           = "arn:aws:ecr:us-east-1:763104351884:repository/pytorch-inference"
      WriteLogs              = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/kennel-dev:*"
      PublishInstanceMetrics = "*"
    }
    error_message = "The endpoint's role must reach no further; got ${aws_iam_role_policy.actor["endpoint"].policy}."
  }
}

run "lets_the_endpoint_record_requests_and_attach_by_choice" {
  command = plan

  variables {
    endpoint = {
      image         = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/kennel-serving@sha256:0123"
      log_group_arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/kennel-dev"
      in_vpc        = true
      captures      = true
    }
  }

  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.actor["endpoint"].policy).Statement : statement.Resource if contains(["RecordRequests", "PullTheImage"], statement.Sid)] == [
      "arn:aws:ecr:eu-central-1:123456789012:repository/team/kennel-serving", "arn:aws:s3:::kennel-dev-artifacts/captures/*",
    ]
    error_message = "Captures go to their folder, and the image's repository follows from its name."
  }
  assert {
    condition     = contains([for statement in jsondecode(aws_iam_role_policy.actor["endpoint"].policy).Statement : statement.Sid], "AttachToTheNetwork")
    error_message = "A VPC needs network interfaces."
  }
}

run "lets_jobs_and_instances_read_the_photos_with_the_policy_of_the_data_bucket" {
  command = plan

  assert {
    condition = alltrue([for actor in ["training", "training_instance"] :
      contains([for statement in jsondecode(aws_iam_role_policy.actor[actor].policy).Statement : statement.Sid], "ReadPhotos")
    ])
    error_message = "The data bucket's statement must be merged in."
  }
  assert {
    condition = !anytrue([for actor in ["endpoint", "lambda"] :
      contains([for statement in jsondecode(aws_iam_role_policy.actor[actor].policy).Statement : statement.Sid], "ReadPhotos")
    ])
    error_message = "Neither the endpoint nor the Lambda needs the photos."
  }
}

run "lets_training_write_to_the_scratch_folder_only" {
  command = plan

  assert {
    condition = alltrue([for actor in ["training", "training_instance"] : toset(flatten([
      for statement in jsondecode(aws_iam_role_policy.actor[actor].policy).Statement : statement.Resource
      if contains(flatten([statement.Action]), "s3:PutObject")
    ])) == toset(["arn:aws:s3:::kennel-dev-artifacts/training/*"])])
    error_message = "A job must not be able to replace a model."
  }
}

run "gives_the_training_instance_session_manager_and_no_more_of_systems_manager" {
  command = plan

  assert {
    condition = toset(flatten([
      for statement in jsondecode(aws_iam_role_policy.actor["training_instance"].policy).Statement : statement.Action
      if anytrue([for action in flatten([statement.Action]) : startswith(action, "ssm") || startswith(action, "elasticmapreduce")])
      ])) == toset([
      "ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
    ])
    error_message = "Only what a session needs may be granted."
  }
  assert {
    condition     = aws_iam_instance_profile.training_instance[0].role == aws_iam_role.actor["training_instance"].name
    error_message = "The profile must carry the role."
  }
}

run "lets_the_training_instance_write_to_its_log_group_and_to_no_other" {
  command = plan

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.actor["training_instance"].policy).Statement : statement.Sid => [statement.Action, statement.Resource]
      if anytrue([for action in flatten([statement.Action]) : startswith(action, "logs:")]) } == {
      WriteLogs    = [["logs:PutLogEvents", "logs:DescribeLogStreams", "logs:CreateLogStream"], "arn:aws:logs:us-east-1:123456789012:log-group:/aws/ssm/kennel-dev-training:*"]
      FindLogGroup = ["logs:DescribeLogGroups", "arn:aws:logs:us-east-1:123456789012:log-group:*"]
    }
    error_message = "It may look for log groups, and write to its own; got ${aws_iam_role_policy.actor["training_instance"].policy}."
  }
}

run "grants_everything_only_where_aws_knows_no_resources" {
  command = plan

  assert {
    condition = length(setsubtract(flatten([for actor in ["endpoint", "training", "training_instance", "lambda"] : [
      for statement in jsondecode(aws_iam_role_policy.actor[actor].policy).Statement : statement.Action if contains(flatten([statement.Resource]), "*")
      ]]), [
      "cloudwatch:PutMetricData", "ecr:GetAuthorizationToken",
      "ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
      "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
    ])) == 0
    error_message = "A statement for all resources must hold only actions that know none."
  }
  assert {
    condition = alltrue(flatten([for actor in ["endpoint", "training"] : [
      for statement in jsondecode(aws_iam_role_policy.actor[actor].policy).Statement :
      startswith(statement.Condition.StringEquals["cloudwatch:namespace"], "/aws/sagemaker/") if statement.Action == "cloudwatch:PutMetricData"
    ]]))
    error_message = "Metrics may be published to SageMaker's own namespaces only."
  }
}

run "uses_the_artifact_key_where_there_is_one" {
  command = plan

  variables {
    artifacts = {
      bucket_arn        = "arn:aws:s3:::kennel-dev-artifacts"
      kms_key_arn       = "arn:aws:kms:us-east-1:123456789012:key/0123"
      models_prefix     = "models/"
      captures_prefix   = "captures/"
      scratch_prefix    = "training/"
      wheelhouse_prefix = "wheelhouse/"
    }
  }

  assert {
    condition = alltrue([for actor in ["endpoint", "training", "training_instance"] : anytrue([
      for statement in jsondecode(aws_iam_role_policy.actor[actor].policy).Statement :
      statement.Sid == "UseArtifactKey" && statement.Resource == "arn:aws:kms:us-east-1:123456789012:key/0123"
    ])])
    error_message = "Whoever reads or writes artifacts must be able to use their key."
  }

  assert {
    # The notebook's policy names a role, and so is known only after an apply.
    condition = toset([for actor in ["endpoint", "lambda", "training", "training_instance"] : actor
      if anytrue([for statement in jsondecode(aws_iam_role_policy.actor[actor].policy).Statement : contains(flatten([statement.Action]), "kms:GenerateDataKey")])
    ]) == toset(["training", "training_instance"])
    error_message = "Only who writes artifacts may make keys of their key."
  }
}

run "lets_an_endpoint_that_writes_make_keys" {
  command = plan

  variables {
    artifacts = {
      bucket_arn        = "arn:aws:s3:::kennel-dev-artifacts"
      kms_key_arn       = "arn:aws:kms:us-east-1:123456789012:key/0123"
      models_prefix     = "models/"
      captures_prefix   = "captures/"
      scratch_prefix    = "training/"
      wheelhouse_prefix = "wheelhouse/"
    }
    endpoint = {
      image         = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu"
      log_group_arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/kennel-dev"
      captures      = true
    }
  }

  assert {
    condition = anytrue([
      for statement in jsondecode(aws_iam_role_policy.actor["endpoint"].policy).Statement :
      statement.Sid == "UseArtifactKey" && contains(flatten([statement.Action]), "kms:GenerateDataKey")
    ])
    error_message = "Records of requests are encrypted with the bucket's key."
  }
}

run "bounds_every_role_by_choice" {
  command = plan

  variables {
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition     = alltrue([for role in aws_iam_role.actor : role.permissions_boundary == var.permissions_boundary_arn])
    error_message = "No role may be without the boundary."
  }
}

run "lets_training_pull_nothing_where_there_is_no_image" {
  command = plan

  variables {
    training_image_repository_arns = []
  }

  assert {
    condition = !anytrue([
      for statement in jsondecode(aws_iam_role_policy.actor["training"].policy).Statement : statement.Sid == "PullTheImage"
    ])
    error_message = "The statement would have no resource, which IAM refuses."
  }
}
