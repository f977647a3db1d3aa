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
  stage  = "dev"
  lambda = { package = "modules/lambda/tests/package.zip" }
}

run "refuses_a_prefix_in_upper_case" {
  command = plan

  variables {
    prefix = "Kennel"
  }

  expect_failures = [var.prefix]
}

run "refuses_a_prefix_that_begins_with_a_digit" {
  command = plan

  variables {
    prefix = "7kennel"
  }

  expect_failures = [var.prefix]
}

run "refuses_a_prefix_too_long_for_what_is_appended" {
  command = plan

  variables {
    prefix = "a23456789012345678901"
  }

  expect_failures = [var.prefix]
}

run "refuses_a_prefix_with_two_hyphens_in_a_row" {
  command = plan

  variables {
    prefix = "ken--nel"
  }

  expect_failures = [var.prefix]
}

run "refuses_a_prefix_that_ends_with_a_hyphen" {
  command = plan

  variables {
    prefix = "kennel-"
  }

  expect_failures = [var.prefix]
}

run "refuses_an_unknown_stage" {
  command = plan

  variables {
    stage = "test"
  }

  expect_failures = [var.stage]
}

run "refuses_what_is_no_region" {
  command = plan

  variables {
    region = "Frankfurt"
  }

  expect_failures = [var.region]
}

run "refuses_more_tags_than_an_object_takes" {
  command = plan

  variables {
    tags = { a = "1", b = "2", c = "3", d = "4", e = "5", f = "6", g = "7" }
  }

  expect_failures = [var.tags]
}

run "refuses_a_tag_with_characters_that_aws_does_not_take" {
  command = plan

  variables {
    tags = { team = "vision*" }
  }

  expect_failures = [var.tags]
}

run "refuses_to_have_the_tag_of_the_sweep_overwritten" {
  command = plan

  variables {
    tags = { "kennel:stage" = "other" }
  }

  expect_failures = [var.tags]
}

run "refuses_to_have_the_stage_overwritten_in_other_letters" {
  command = plan

  variables {
    tags = { Stage = "other" }
  }

  expect_failures = [var.tags]
}

run "refuses_the_tags_of_aws" {
  command = plan

  variables {
    tags = { "aws:name" = "other" }
  }

  expect_failures = [var.tags]
}

run "refuses_a_boundary_that_is_no_policy" {
  command = plan

  variables {
    permissions_boundary_arn = "boundary"
  }

  expect_failures = [var.permissions_boundary_arn]
}

run "refuses_a_model_without_a_digest" {
  command = plan

  variables {
    model = { name = "dogs", archive = "model.tar.gz", sha256 = "abc" }
  }

  expect_failures = [var.model]
}

run "refuses_a_digest_in_upper_case" {
  command = plan

  variables {
    model = { name = "dogs", archive = "model.tar.gz", sha256 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }
  }

  expect_failures = [var.model]
}

run "refuses_a_model_name_with_a_space" {
  command = plan

  variables {
    model = { name = "my dogs", archive = "model.tar.gz", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
  }

  expect_failures = [var.model]
}

run "refuses_an_archive_that_is_no_tar" {
  command = plan

  variables {
    model = { name = "dogs", archive = "model.zip", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
  }

  expect_failures = [var.model]
}

run "refuses_a_retained_model_without_a_digest" {
  command = plan

  variables {
    retained_models = [{ name = "dogs", archive = "model.tar.gz", sha256 = "latest" }]
  }

  expect_failures = [var.retained_models]
}

run "refuses_a_retained_archive_that_is_no_tar" {
  command = plan

  variables {
    retained_models = [{ name = "dogs", archive = "model.zip", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }]
  }

  expect_failures = [var.retained_models]
}

run "refuses_the_same_retained_model_twice" {
  command = plan

  variables {
    retained_models = [
      { name = "dogs", archive = "model.tar.gz", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" },
      { name = "hounds", archive = "model.tar.gz", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" },
    ]
  }

  expect_failures = [var.retained_models]
}

run "refuses_no_live_instance" {
  command = plan

  variables {
    live_instance_count = 0
  }

  expect_failures = [var.live_instance_count]
}

run "refuses_an_unknown_rollout" {
  command = plan

  variables {
    rollout = { routing = "SLOWLY" }
  }

  expect_failures = [var.rollout]
}

run "refuses_a_canary_above_half" {
  command = plan

  variables {
    rollout = { routing = "CANARY", percent = 60 }
  }

  expect_failures = [var.rollout]
}

run "refuses_linear_steps_below_a_tenth" {
  command = plan

  variables {
    rollout = { routing = "LINEAR", percent = 5 }
  }

  expect_failures = [var.rollout]
}

run "refuses_an_image_that_is_not_in_ecr" {
  command = plan

  variables {
    endpoint = { image = "docker.io/kennel:1" }
  }

  expect_failures = [var.endpoint]
}

run "refuses_plain_http_to_the_container_outside_the_local_stage" {
  command = plan

  variables {
    endpoint = { environment = { KENNEL_FETCH_ALLOW_HTTP = "true" } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_loopback_to_the_container_outside_the_local_stage" {
  command = plan

  variables {
    endpoint = { environment = { KENNEL_FETCH_ALLOW_LOOPBACK = "true" } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_fewer_instances_than_the_minimum" {
  command = plan

  variables {
    endpoint    = { instance_count = 1 }
    autoscaling = { min_instances = 2 }
  }

  expect_failures = [var.endpoint]
}

run "refuses_more_instances_than_the_maximum" {
  command = plan

  variables {
    endpoint = { instance_count = 5 }
  }

  expect_failures = [var.endpoint]
}

run "refuses_plain_http_to_the_function_in_dev" {
  command = plan

  variables {
    lambda = { package = "modules/lambda/tests/package.zip", fetch = { allow_http = true } }
  }

  expect_failures = [var.lambda]
}

run "refuses_loopback_to_the_function_in_dev" {
  command = plan

  variables {
    lambda = { package = "modules/lambda/tests/package.zip", fetch = { allow_loopback = true } }
  }

  expect_failures = [var.lambda]
}

run "refuses_plain_http_to_the_function_in_prod" {
  command = plan

  variables {
    stage  = "prod"
    lambda = { package = "modules/lambda/tests/package.zip", fetch = { allow_http = true } }
  }

  expect_failures = [var.lambda]
}

run "refuses_loopback_to_the_function_in_prod" {
  command = plan

  variables {
    stage  = "prod"
    lambda = { package = "modules/lambda/tests/package.zip", fetch = { allow_loopback = true } }
  }

  expect_failures = [var.lambda]
}

run "refuses_a_function_in_a_vpc_with_no_way_out" {
  command = plan

  variables {
    lambda = { package = "modules/lambda/tests/package.zip", in_vpc = true }
  }

  expect_failures = [var.lambda]
}

run "refuses_a_prefix_that_passes_for_a_pipelines_roles" {
  command = plan

  variables {
    prefix = "kennel-ci"
  }

  expect_failures = [var.prefix]
}

run "refuses_a_prefix_that_passes_for_the_dev_stage" {
  command = plan

  variables {
    prefix = "kennel-dev"
  }

  expect_failures = [var.prefix]
}

run "refuses_a_prefix_that_passes_for_the_local_stage" {
  command = plan

  variables {
    prefix = "kennel-local"
  }

  expect_failures = [var.prefix]
}

run "refuses_a_prefix_that_begins_like_names_of_the_prod_stage" {
  command = plan

  variables {
    prefix = "kennel-prod-eu"
  }

  expect_failures = [var.prefix]
}

run "refuses_a_model_without_an_image_to_serve_it" {
  command = plan

  variables {
    model = { name = "dogs", archive = "nowhere/model.tar.gz", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_function_in_a_vpc_that_only_public_addresses_lead_out_of" {
  command = plan

  variables {
    network = { internet = "public" }
    lambda  = { package = "modules/lambda/tests/package.zip", in_vpc = true }
  }

  expect_failures = [var.lambda]
}

run "refuses_a_notebook_that_cannot_ask_to_be_stopped" {
  command = plan

  variables {
    notebook = { idle_stop_minutes = 60 }
  }

  expect_failures = [var.notebook]
}

run "refuses_a_notebook_that_has_no_public_address_to_ask_from" {
  command = plan

  variables {
    network  = { internet = "public" }
    notebook = { idle_stop_minutes = 60 }
  }

  expect_failures = [var.notebook]
}

run "refuses_a_training_image_without_a_tag" {
  command = plan

  variables {
    training = { image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/kennel-training" }
  }

  expect_failures = [var.training]
}

run "refuses_a_training_image_of_another_registry" {
  command = plan

  variables {
    training = { image = "docker.io/library/python:3.12" }
  }

  expect_failures = [var.training]
}

run "refuses_no_instance_without_scaling_to_zero" {
  command = plan

  variables {
    autoscaling = { min_instances = 0 }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_the_size_of_a_copy_without_scaling_to_zero" {
  command = plan

  variables {
    autoscaling = { copy = { cpu_cores = 1 } }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_a_canary_with_scaling_to_zero" {
  command = plan

  variables {
    autoscaling = { scale_to_zero = true, min_instances = 0 }
    rollout     = { routing = "CANARY", percent = 10 }
  }

  expect_failures = [var.rollout]
}

run "refuses_a_canary_of_the_stage_with_scaling_to_zero" {
  command = plan

  variables {
    autoscaling = { scale_to_zero = true, min_instances = 0 }
    endpoint    = { deployment = { routing = "CANARY" } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_recorded_requests_with_scaling_to_zero" {
  command = plan

  variables {
    autoscaling = { scale_to_zero = true, min_instances = 0 }
    endpoint    = { capture_percent = 10 }
  }

  expect_failures = [var.endpoint]
}
