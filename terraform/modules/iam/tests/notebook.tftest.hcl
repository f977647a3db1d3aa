# Apart from the other tests, because the notebook's policy names the training role: only an apply knows its ARN. Everything
# that would be created is overridden, so that the provider makes the documents and nothing else.
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

override_resource {
  target = aws_iam_role.actor
  values = { arn = "arn:aws:iam::123456789012:role/kennel-dev-training" }
}

override_resource {
  target = aws_iam_role_policy.actor
}

override_resource {
  target = aws_iam_instance_profile.training_instance
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

run "lets_the_notebook_hand_on_the_training_role_only" {
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.actor["notebook"].policy).Statement : [statement.Resource, statement.Condition.StringEquals["iam:PassedToService"]] if statement.Action == "iam:PassRole"] == [
      ["arn:aws:iam::123456789012:role/kennel-dev-training", "sagemaker.amazonaws.com"]
    ]
    error_message = "The notebook must be able to pass the training role to SageMaker, and nothing else."
  }
  assert {
    condition     = alltrue([for statement in jsondecode(aws_iam_role_policy.actor["notebook"].policy).Statement : statement.Resource != "*" || statement.Sid == "DescribeTheNetwork"])
    error_message = "Only describing the network may be granted for everything."
  }
}

run "lets_the_notebook_and_the_lambda_ask_an_inference_component" {
  variables {
    lambda = {
      endpoint_name       = "kennel-dev-zero"
      inference_component = "kennel-dev-classifier"
      log_group_arn       = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/kennel-dev-classify"
    }
  }

  assert {
    condition = alltrue([for actor in ["notebook", "lambda"] : toset(flatten([
      for statement in jsondecode(aws_iam_role_policy.actor[actor].policy).Statement : statement.Resource if statement.Sid == "AskTheEndpoint"
      ])) == toset([
      "arn:aws:sagemaker:us-east-1:123456789012:endpoint/kennel-dev-zero",
      "arn:aws:sagemaker:us-east-1:123456789012:inference-component/kennel-dev-classifier",
    ])])
    error_message = "Who asks an inference component needs the right to it beside the endpoint's."
  }
}
