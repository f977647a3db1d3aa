mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { name = "us-east-1" }
  }
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-east-1a", "us-east-1b", "us-east-1c"] }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_data "aws_ssm_parameter" {
    defaults = { value = "ami-0123456789abcdef0" }
  }
}

variables {
  stage    = "dev"
  lambda   = { package = "modules/lambda/tests/package.zip" }
  endpoint = { image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/kennel-serving:1" }
}

run "has_no_endpoint_without_a_model" {
  command = plan

  assert {
    condition     = length(module.endpoint) == 0 && length(module.autoscaling) == 0 && output.endpoint_name == null && output.model == null && output.autoscaling == null
    error_message = "Without a model there must be nothing that serves one."
  }

  assert {
    condition     = output.lambda_function_name == "kennel-dev-classify" && output.lambda_alias == "live"
    error_message = "The function must be there before any model."
  }

  assert {
    condition     = !contains(keys(output.log_groups), "endpoint")
    error_message = "There must be no log group without an endpoint."
  }
}

run "has_an_endpoint_with_a_model_whose_file_need_not_be_there_to_plan" {
  command = plan

  variables {
    model = { name = "dogs", archive = "nowhere/model.tar.gz", sha256 = "0000000000000000000000000000000000000000000000000000000000000000", metrics = { accuracy = 0.94 } }
  }

  assert {
    condition     = output.endpoint_name == "kennel-dev" && output.endpoint_variant == "primary"
    error_message = "The endpoint must be named from the prefix and the stage."
  }

  assert {
    condition     = output.model.name == "dogs" && output.model.sha256 == "0000000000000000000000000000000000000000000000000000000000000000" && output.model.metrics.accuracy == 0.94
    error_message = "The model must be told as it was given."
  }

  assert {
    condition     = output.autoscaling.min == 1 && output.autoscaling.max == 4 && output.autoscaling.target == 100
    error_message = "The endpoint must scale as the replaced workflow did."
  }
}

run "serves_with_a_fixed_size_by_choice" {
  command = plan

  variables {
    model       = { name = "dogs", archive = "nowhere/model.tar.gz", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
    autoscaling = null
    endpoint    = { image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/kennel-serving:1", instance_count = 6 }
  }

  assert {
    condition     = length(module.endpoint) == 1 && length(module.autoscaling) == 0 && output.autoscaling == null
    error_message = "Without autoscaling no limit holds, and none must be claimed."
  }
}

run "names_everything_after_prefix_and_stage" {
  command = plan

  variables {
    prefix = "hound"
    stage  = "prod"
  }

  assert {
    condition     = output.prefix == "hound-prod" && output.lambda_function_name == "hound-prod-classify" && output.dashboard_name == "hound-prod"
    error_message = "Names must derive from prefix and stage."
  }
}

run "has_neither_instance_nor_notebook_by_default" {
  command = plan

  assert {
    condition     = output.training_instance_id == null && output.notebook_name == null
    error_message = "Both cost money, and must be asked for."
  }

  assert {
    condition     = toset(keys(output.roles)) == toset(["lambda", "training"])
    error_message = "A role without an actor must not exist."
  }
}

run "has_an_instance_and_a_notebook_by_choice" {
  command = plan

  variables {
    network           = { internet = "nat" }
    training_instance = {}
    notebook          = {}
  }

  assert {
    condition     = length(module.training_instance) == 1 && output.notebook_name == "kennel-dev"
    error_message = "Both must be there."
  }

  assert {
    condition     = toset(keys(output.roles)) == toset(["lambda", "notebook", "training", "training_instance"])
    error_message = "Each must have its role."
  }
}

run "keeps_earlier_models_in_the_bucket" {
  command = plan

  variables {
    model           = { name = "dogs", archive = "nowhere/model.tar.gz", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
    retained_models = [{ name = "older-dogs", archive = "nowhere/older.tar.gz", sha256 = "1111111111111111111111111111111111111111111111111111111111111111", metrics = { accuracy = 0.9 } }]
  }

  assert {
    condition     = output.model.earlier == [{ name = "older-dogs", sha256 = "1111111111111111111111111111111111111111111111111111111111111111", metrics = tomap({ accuracy = 0.9 }) }]
    error_message = "The models to go back to must be told."
  }

  assert {
    condition     = toset(keys(module.storage.archives)) == toset(["0000000000000000000000000000000000000000000000000000000000000000", "1111111111111111111111111111111111111111111111111111111111111111"])
    error_message = "Both archives must stay."
  }
}

run "keeps_the_live_count_between_the_limits" {
  command = plan

  variables {
    model               = { name = "dogs", archive = "nowhere/model.tar.gz", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
    live_instance_count = 9
  }

  assert {
    condition     = local.live_instance_count == 4
    error_message = "More than autoscaling allows must not be asked for."
  }
}

run "keeps_what_a_schedule_scaled_out" {
  command = plan

  variables {
    model               = { name = "dogs", archive = "nowhere/model.tar.gz", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
    live_instance_count = 9
    autoscaling         = { scheduled = { day = { schedule = "cron(0 8 * * ? *)", max_instances = 12 } } }
  }

  assert {
    condition     = local.live_instance_count == 9
    error_message = "The highest limit that may be in force counts."
  }
}

run "takes_the_declared_count_where_nothing_scales" {
  command = plan

  variables {
    model               = { name = "dogs", archive = "nowhere/model.tar.gz", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
    live_instance_count = 9
    autoscaling         = null
  }

  assert {
    condition     = local.live_instance_count == null
    error_message = "Without autoscaling the declared count must hold."
  }
}

run "moves_traffic_as_chosen_for_this_update" {
  command = plan

  variables {
    rollout  = { routing = "CANARY", percent = 25 }
    endpoint = { deployment = { wait_seconds = 30, routing = "LINEAR" } }
  }

  assert {
    condition     = merge(var.endpoint.deployment, local.rollout).routing == "CANARY" && local.rollout == { routing = "CANARY", canary_percent = 25 } && merge(var.endpoint.deployment, local.rollout).wait_seconds == 30
    error_message = "The choice must win over the stage, and leave the rest."
  }
}

run "takes_a_function_into_a_vpc_with_a_way_out" {
  command = plan

  variables {
    network = { internet = "nat" }
    lambda  = { package = "modules/lambda/tests/package.zip", in_vpc = true }
  }

  assert {
    condition     = output.lambda_function_name == "kennel-dev-classify"
    error_message = "A VPC with a way out must do."
  }
}

run "plans_what_the_local_stage_sets" {
  command = plan

  variables {
    stage    = "local"
    model    = { name = "dogs", archive = "nowhere/model.tar.gz", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
    endpoint = { image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/kennel-serving:local" }
    lambda   = { package = "modules/lambda/tests/package.zip", fetch = { allow_http = true, allow_loopback = true } }
  }

  assert {
    condition     = output.endpoint_name == "kennel-local"
    error_message = "The local stage may fetch from this machine, and has an image of its own."
  }
}

run "lets_a_notebook_stop_itself_over_the_endpoint_of_sagemaker" {
  command = plan

  variables {
    network  = { interface_endpoints = ["sagemaker.api"] }
    notebook = { idle_stop_minutes = 60 }
  }

  assert {
    condition     = output.notebook_name == "kennel-dev"
    error_message = "The endpoint must do."
  }
}

run "lets_a_notebook_stop_itself_over_a_way_out_of_its_own" {
  command = plan

  variables {
    notebook = { idle_stop_minutes = 60, direct_internet_access = true }
  }

  assert {
    condition     = output.notebook_name == "kennel-dev"
    error_message = "SageMaker's own network must do."
  }
}

run "watches_the_url_of_the_function" {
  command = plan

  variables {
    lambda = { package = "modules/lambda/tests/package.zip", url = true }
  }

  assert {
    condition     = contains(keys(module.observability.alarm_names), "lambda-url-errors")
    error_message = "A URL must be watched."
  }
}

run "starts_no_jobs_without_an_image" {
  command = plan

  assert {
    condition     = output.training_image == null && length(local.training_image_repository_arns) == 0
    error_message = "Without an image the role must pull none."
  }
}

run "lets_jobs_pull_the_image_that_is_named_and_no_other" {
  command = plan

  variables {
    training = { image = "210987654321.dkr.ecr.eu-central-1.amazonaws.com/team/kennel-training:1" }
  }

  assert {
    condition     = output.training_image == "210987654321.dkr.ecr.eu-central-1.amazonaws.com/team/kennel-training:1" && local.training_image_repository_arns == ["arn:aws:ecr:eu-central-1:210987654321:repository/team/kennel-training"]
    error_message = "The role must be good for the image's repository, wherever it is."
  }
}

run "scales_to_zero_by_choice" {
  command = plan

  variables {
    model       = { name = "dogs", archive = "nowhere/model.tar.gz", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
    autoscaling = { scale_to_zero = true, min_instances = 0 }
  }

  assert {
    condition     = length(module.endpoint) == 0 && length(module.autoscaling) == 0 && length(module.scale_to_zero) == 1
    error_message = "One endpoint must stand in place of the other."
  }

  assert {
    condition     = output.endpoint_name == "kennel-dev-zero" && output.endpoint_variant == "primary" && output.inference_component_name == "kennel-dev-classifier"
    error_message = "Endpoint and component must be named after the stage, the endpoint unlike the one that it replaces."
  }

  assert {
    condition     = output.autoscaling.min == 0 && output.autoscaling.max == 4 && output.log_groups.endpoint == "/aws/sagemaker/InferenceComponents/kennel-dev-classifier"
    error_message = "What scales and where its logs are must be told."
  }
}
