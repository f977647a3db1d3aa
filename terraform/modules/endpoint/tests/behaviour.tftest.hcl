mock_provider "aws" {}

variables {
  name     = "kennel-dev"
  role_arn = "arn:aws:iam::123456789012:role/kennel-dev-endpoint"
  model = {
    image       = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker"
    archive_uri = "s3://kennel-dev-artifacts/models/0000/model.tar.gz"
  }
}

run "serves_the_archive_with_the_image_from_one_cpu_instance" {
  command = plan

  assert {
    condition = (
      aws_sagemaker_model.this.primary_container[0].image == var.model.image
      && aws_sagemaker_model.this.primary_container[0].model_data_url == var.model.archive_uri
      && aws_sagemaker_model.this.execution_role_arn == var.role_arn
    )
    error_message = "The model must be what was passed in."
  }
  assert {
    condition = (
      aws_sagemaker_endpoint_configuration.this.production_variants[0].instance_type == "ml.m5.large"
      && aws_sagemaker_endpoint_configuration.this.production_variants[0].initial_instance_count == 1
      && aws_sagemaker_endpoint_configuration.this.production_variants[0].variant_name == "primary"
    )
    error_message = "The default must be one ml.m5.large as the variant primary."
  }
  assert {
    condition     = output.name == "kennel-dev" && output.variant == "primary"
    error_message = "The outputs must name the endpoint and its variant."
  }
}

run "isolates_the_containers_from_the_network_by_default" {
  command = plan

  assert {
    condition     = aws_sagemaker_model.this.enable_network_isolation
    error_message = "Network isolation must be on unless somebody turns it off."
  }
  assert {
    condition     = length(aws_sagemaker_model.this.vpc_config) == 0 && length(aws_sagemaker_endpoint_configuration.this.data_capture_config) == 0
    error_message = "Neither a VPC nor capture may be there unless asked for."
  }
}

run "names_the_configuration_by_prefix_so_that_old_and_new_can_coexist" {
  command = plan

  assert {
    condition     = aws_sagemaker_endpoint_configuration.this.name_prefix == "kennel-dev-"
    error_message = "The configuration must be named by prefix."
  }
}

run "passes_the_environment_to_the_container" {
  command = plan

  variables {
    endpoint = { environment = { KENNEL_ENGINE = "torch" } }
  }

  assert {
    condition     = aws_sagemaker_model.this.primary_container[0].environment == tomap({ KENNEL_ENGINE = "torch" })
    error_message = "The container must get the environment."
  }
}

run "attaches_the_containers_to_a_vpc_by_choice" {
  command = plan

  variables {
    vpc = { subnet_ids = ["subnet-1", "subnet-2"], security_group_ids = ["sg-1"] }
  }

  assert {
    condition = (
      aws_sagemaker_model.this.vpc_config[0].subnets == toset(["subnet-1", "subnet-2"])
      && aws_sagemaker_model.this.vpc_config[0].security_group_ids == toset(["sg-1"])
    )
    error_message = "The model must get the subnets and the groups."
  }
}

run "captures_requests_and_answers_by_choice" {
  command = plan

  variables {
    capture = { percent = 20, destination_uri = "s3://kennel-dev-artifacts/captures" }
  }

  assert {
    condition = (
      aws_sagemaker_endpoint_configuration.this.data_capture_config[0].enable_capture
      && aws_sagemaker_endpoint_configuration.this.data_capture_config[0].initial_sampling_percentage == 20
      && aws_sagemaker_endpoint_configuration.this.data_capture_config[0].destination_s3_uri == "s3://kennel-dev-artifacts/captures"
      && toset(aws_sagemaker_endpoint_configuration.this.data_capture_config[0].capture_options[*].capture_mode) == toset(["Input", "Output"])
    )
    error_message = "A fifth of the requests and answers must go to the folder."
  }
}

run "moves_all_traffic_at_once_and_bakes_by_default" {
  command = plan

  assert {
    condition = (
      aws_sagemaker_endpoint.this.deployment_config[0].blue_green_update_policy[0].traffic_routing_configuration[0].type == "ALL_AT_ONCE"
      && aws_sagemaker_endpoint.this.deployment_config[0].blue_green_update_policy[0].termination_wait_in_seconds == 120
      && length(aws_sagemaker_endpoint.this.deployment_config[0].auto_rollback_configuration) == 0
    )
    error_message = "The default must be blue/green, all at once, with two minutes to go back in."
  }
}

run "moves_a_canary_first_by_choice" {
  command = plan

  variables {
    endpoint = { deployment = { routing = "CANARY", canary_percent = 50 } }
  }

  assert {
    condition = (
      aws_sagemaker_endpoint.this.deployment_config[0].blue_green_update_policy[0].traffic_routing_configuration[0].canary_size[0].type == "CAPACITY_PERCENT"
      && aws_sagemaker_endpoint.this.deployment_config[0].blue_green_update_policy[0].traffic_routing_configuration[0].canary_size[0].value == 50
      && length(aws_sagemaker_endpoint.this.deployment_config[0].blue_green_update_policy[0].traffic_routing_configuration[0].linear_step_size) == 0
    )
    error_message = "Half of the fleet must go first."
  }
}

run "moves_in_linear_steps_by_choice" {
  command = plan

  variables {
    endpoint = { deployment = { routing = "LINEAR" } }
  }

  assert {
    condition = (
      aws_sagemaker_endpoint.this.deployment_config[0].blue_green_update_policy[0].traffic_routing_configuration[0].linear_step_size[0].value == 25
      && length(aws_sagemaker_endpoint.this.deployment_config[0].blue_green_update_policy[0].traffic_routing_configuration[0].canary_size) == 0
    )
    error_message = "A quarter of the fleet must go at a time."
  }
}

run "rolls_back_on_the_alarms" {
  command = plan

  variables {
    rollback_alarm_names = ["kennel-dev-endpoint-latency", "kennel-dev-endpoint-server-errors"]
  }

  assert {
    condition     = toset(aws_sagemaker_endpoint.this.deployment_config[0].auto_rollback_configuration[0].alarms[*].alarm_name) == var.rollback_alarm_names
    error_message = "Each of the alarms must be able to undo the update."
  }
}

run "keeps_the_logs_for_a_month_in_the_group_that_sagemaker_writes_to" {
  command = plan

  assert {
    condition     = output.log_group.name == "/aws/sagemaker/Endpoints/kennel-dev" && aws_cloudwatch_log_group.containers.retention_in_days == 30
    error_message = "The group must be SageMaker's for this endpoint, with a retention."
  }
}

run "can_update_an_endpoint_that_is_in_alarm_already" {
  command = plan

  variables {
    rollback_alarm_names = ["kennel-dev-endpoint-latency"]
    endpoint             = { deployment = { rollback_on_alarms = false } }
  }

  assert {
    condition     = length(aws_sagemaker_endpoint.this.deployment_config[0].auto_rollback_configuration) == 0
    error_message = "No alarm may undo the update."
  }
}
