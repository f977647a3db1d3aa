mock_provider "aws" {}

variables {
  name     = "kennel-dev"
  role_arn = "arn:aws:iam::123456789012:role/kennel-dev-endpoint"
  model = {
    image       = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker"
    archive_uri = "s3://kennel-dev-artifacts/models/0000/model.tar.gz"
  }
}

run "names_a_model_after_its_endpoint_and_its_generation" {
  assert {
    condition     = can(regex("^kennel-dev-[0-9a-f]{8}$", output.model_name))
    error_message = "The model's name must be the endpoint's with 8 digits; got ${output.model_name}."
  }
}

run "keeps_the_name_of_a_model_that_stays_the_same" {
  variables {
    endpoint = { instance_type = "ml.m5.xlarge" }
  }

  assert {
    condition     = output.model_name == run.names_a_model_after_its_endpoint_and_its_generation.model_name
    error_message = "Another machine is no reason to make another model."
  }
}

run "gives_another_archive_a_model_of_its_own" {
  variables {
    model = {
      image       = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker"
      archive_uri = "s3://kennel-dev-artifacts/models/1111/model.tar.gz"
    }
  }

  assert {
    condition     = output.model_name != run.names_a_model_after_its_endpoint_and_its_generation.model_name
    error_message = "Old and new must be able to exist side by side."
  }
}

run "gives_an_earlier_archive_yet_another_model" {
  assert {
    condition = !contains([
      run.names_a_model_after_its_endpoint_and_its_generation.model_name,
      run.gives_another_archive_a_model_of_its_own.model_name,
    ], output.model_name)
    error_message = "After a rollback the earlier model still exists: going back must not take its name."
  }
}

run "leaves_the_configuration_alone_when_only_the_live_count_differs" {
  variables {
    live_instance_count = 3
  }

  assert {
    condition     = aws_sagemaker_endpoint_configuration.this.production_variants[0].initial_instance_count == 1
    error_message = "A count that scaling moved is no reason for an update."
  }
}

# Mocked, no attribute forces a replacement: here the fixed count stands for what does.
run "starts_another_configuration_with_the_live_count" {
  variables {
    live_instance_count = 3
    endpoint            = { instance_count = 2 }
  }

  assert {
    condition     = aws_sagemaker_endpoint_configuration.this.production_variants[0].initial_instance_count == 3
    error_message = "An update must keep what was scaled out."
  }
}

run "holds_how_traffic_moves_until_the_next_update" {
  variables {
    endpoint = { instance_count = 2, deployment = { routing = "CANARY" } }
  }

  assert {
    condition     = aws_sagemaker_endpoint.this.deployment_config[0].blue_green_update_policy[0].traffic_routing_configuration[0].type == "ALL_AT_ONCE"
    error_message = "Another way of moving traffic alone must not call UpdateEndpoint."
  }
}

run "moves_traffic_as_declared_in_the_next_update" {
  variables {
    endpoint = { instance_count = 5, deployment = { routing = "CANARY" } }
  }

  assert {
    condition     = aws_sagemaker_endpoint.this.deployment_config[0].blue_green_update_policy[0].traffic_routing_configuration[0].type == "CANARY"
    error_message = "An update must move traffic as declared."
  }
  assert {
    condition     = aws_sagemaker_endpoint_configuration.this.production_variants[0].initial_instance_count == 5
    error_message = "Where nothing scales, the declared count must take effect."
  }
}

run "takes_no_notice_of_the_declared_count_where_the_endpoint_scales" {
  variables {
    scaled   = true
    endpoint = { instance_count = 7, deployment = { routing = "CANARY" } }
  }

  assert {
    condition     = aws_sagemaker_endpoint_configuration.this.production_variants[0].initial_instance_count == 5
    error_message = "Of an endpoint that scales, the declared count is where it began."
  }
}
