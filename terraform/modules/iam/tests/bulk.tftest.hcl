# The real provider, as in behaviour.tftest.hcl.
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
    subnet_ids         = ["subnet-1"]
    security_group_ids = ["sg-1"]
  }
  endpoint = {
    image         = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu"
    log_group_arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/kennel-dev"
    bulk          = true
  }
  lambda = {
    endpoint_name = "kennel-dev"
    log_group_arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/kennel-dev-classify"
  }
  training_image_repository_arns = []
}

run "lets_the_model_read_photos_and_write_answers_where_it_may_run_in_bulk" {
  command = plan

  assert {
    condition     = length(regexall("\"ReadPhotos\"|\"ReadScratch\"|\"ListScratch\"", aws_iam_role_policy.actor["endpoint"].policy)) == 3
    error_message = "The endpoint's role must read the data bucket and the scratch folder."
  }
  assert {
    condition = one([for statement in jsondecode(aws_iam_role_policy.actor["endpoint"].policy).Statement :
      statement.Resource if try(statement.Sid, "") == "WriteAnswers"
    ]) == "arn:aws:s3:::kennel-dev-artifacts/training/bulk/*"
    error_message = "Answers are written below the scratch folder's bulk/ and nowhere else."
  }
  assert {
    condition     = strcontains(aws_iam_role_policy.actor["endpoint"].policy, "log-group:/aws/sagemaker/TransformJobs:log-stream:kennel-dev-*") && strcontains(aws_iam_role_policy.actor["endpoint"].policy, "\"/aws/sagemaker/TransformJobs\"")
    error_message = "Transform jobs write their own logs and metrics."
  }
}

run "lets_it_do_none_of_that_otherwise" {
  command = plan

  variables {
    endpoint = {
      image         = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu"
      log_group_arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/kennel-dev"
    }
  }

  assert {
    condition     = length(regexall("ReadPhotos|Scratch|WriteAnswers|TransformJobs", aws_iam_role_policy.actor["endpoint"].policy)) == 0
    error_message = "Without bulk the endpoint's role neither sees photos nor writes answers."
  }
}
