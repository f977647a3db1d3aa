mock_provider "aws" {}

variables {
  name      = "kennel-dev"
  component = "kennel-dev-classifier"
  role_arn  = "arn:aws:iam::123456789012:role/kennel-dev-endpoint"
  model = {
    image       = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0"
    archive_uri = "s3://kennel-dev-artifacts/models/0000/model.tar.gz"
  }
}

run "refuses_a_name_in_upper_case" {
  command = plan

  variables {
    name = "Kennel"
  }

  expect_failures = [var.name]
}

run "refuses_a_name_too_long_to_append_to" {
  command = plan

  variables {
    name = "a23456789012345678901234567890123456x"
  }

  expect_failures = [var.name]
}

run "refuses_a_name_with_two_hyphens_in_a_row" {
  command = plan

  variables {
    name = "kennel--dev"
  }

  expect_failures = [var.name]
}

run "refuses_a_variant_with_an_underscore" {
  command = plan

  variables {
    variant = "all_traffic"
  }

  expect_failures = [var.variant]
}

run "refuses_an_image_from_another_registry" {
  command = plan

  variables {
    model = { image = "docker.io/kennel:1", archive_uri = "s3://b/model.tar.gz" }
  }

  expect_failures = [var.model]
}

run "refuses_an_image_without_a_tag" {
  command = plan

  variables {
    model = { image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/kennel", archive_uri = "s3://b/model.tar.gz" }
  }

  expect_failures = [var.model]
}

run "refuses_an_archive_that_is_not_in_s3" {
  command = plan

  variables {
    model = { image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0", archive_uri = "/tmp/model.tar.gz" }
  }

  expect_failures = [var.model]
}

run "refuses_an_ec2_instance_type" {
  command = plan

  variables {
    endpoint = { instance_type = "m5.large" }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_variable_name_with_a_hyphen" {
  command = plan

  variables {
    endpoint = { environment = { "KENNEL-ENGINE" = "torch" } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_variable_value_beyond_1024_characters" {
  command = plan

  variables {
    endpoint = { environment = { KENNEL = format("%01025d", 0) } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_fetching_in_an_isolated_container" {
  command = plan

  variables {
    endpoint = { environment = { KENNEL_FETCH_URLS = "true" } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_start_up_timeout_below_a_minute" {
  command = plan

  variables {
    endpoint = { startup_timeout_seconds = 59 }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_start_up_timeout_above_an_hour" {
  command = plan

  variables {
    endpoint = { startup_timeout_seconds = 3601 }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_download_timeout_below_a_minute" {
  command = plan

  variables {
    endpoint = { download_timeout_seconds = 59 }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_download_timeout_above_an_hour" {
  command = plan

  variables {
    endpoint = { download_timeout_seconds = 3601 }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_retention_that_cloudwatch_does_not_know" {
  command = plan

  variables {
    endpoint = { log_retention_days = 10 }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_role_that_is_no_arn" {
  command = plan

  variables {
    role_arn = "kennel-dev-endpoint"
  }

  expect_failures = [var.role_arn]
}

run "refuses_a_volume_key_that_is_no_arn" {
  command = plan

  variables {
    endpoint = { volume_kms_key_arn = "alias/kennel" }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_vpc_without_subnets" {
  command = plan

  variables {
    vpc = { subnet_ids = [], security_group_ids = ["sg-1"] }
  }

  expect_failures = [var.vpc]
}

run "refuses_a_vpc_without_groups" {
  command = plan

  variables {
    vpc = { subnet_ids = ["subnet-1"], security_group_ids = [] }
  }

  expect_failures = [var.vpc]
}

run "refuses_a_component_with_an_underscore" {
  command = plan

  variables {
    component = "kennel_dev"
  }

  expect_failures = [var.component]
}

run "refuses_fewer_than_no_copies" {
  command = plan

  variables {
    autoscaling = { min_instances = -1 }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_no_copy_at_most" {
  command = plan

  variables {
    autoscaling = { max_instances = 0 }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_a_metric_of_instances" {
  command = plan

  variables {
    autoscaling = { metric = "SageMakerVariantInvocationsPerInstance" }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_a_target_of_nothing" {
  command = plan

  variables {
    autoscaling = { target = 0 }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_a_cooldown_of_more_than_an_hour" {
  command = plan

  variables {
    autoscaling = { scale_in_cooldown_seconds = 3601 }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_a_copy_without_memory" {
  command = plan

  variables {
    autoscaling = { copy = { memory_mb = 0 } }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_steps" {
  command = plan

  variables {
    autoscaling = { policy = "step" }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_half_a_live_copy" {
  command = plan

  variables {
    live_copies = 1.5
  }

  expect_failures = [var.live_copies]
}

run "refuses_more_live_copies_than_may_be" {
  command = plan

  variables {
    live_copies = 5
  }

  expect_failures = [var.live_copies]
}
