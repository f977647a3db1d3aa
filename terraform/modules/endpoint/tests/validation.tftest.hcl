mock_provider "aws" {}

variables {
  name     = "kennel-dev"
  role_arn = "arn:aws:iam::123456789012:role/kennel-dev-endpoint"
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

run "refuses_no_instances" {
  command = plan

  variables {
    endpoint = { instance_count = 0 }
  }

  expect_failures = [var.endpoint]
}

run "refuses_half_an_instance" {
  command = plan

  variables {
    endpoint = { instance_count = 1.5 }
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

run "refuses_an_unknown_routing" {
  command = plan

  variables {
    endpoint = { deployment = { routing = "ROLLING" } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_wait_above_an_hour" {
  command = plan

  variables {
    endpoint = { deployment = { wait_seconds = 3601 } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_canary_of_more_than_half" {
  command = plan

  variables {
    endpoint = { deployment = { canary_percent = 51 } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_canary_of_nothing" {
  command = plan

  variables {
    endpoint = { deployment = { canary_percent = 0 } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_linear_steps_below_a_tenth" {
  command = plan

  variables {
    endpoint = { deployment = { linear_percent = 9 } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_linear_steps_of_more_than_half" {
  command = plan

  variables {
    endpoint = { deployment = { linear_percent = 51 } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_termination_wait_above_an_hour" {
  command = plan

  variables {
    endpoint = { deployment = { termination_wait_seconds = 3601 } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_an_execution_timeout_below_ten_minutes" {
  command = plan

  variables {
    endpoint = { deployment = { execution_timeout_seconds = 599 } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_an_execution_timeout_above_four_hours" {
  command = plan

  variables {
    endpoint = { deployment = { execution_timeout_seconds = 14401 } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_an_execution_timeout_shorter_than_the_waits" {
  command = plan

  variables {
    endpoint = { deployment = { execution_timeout_seconds = 900, wait_seconds = 600, termination_wait_seconds = 300 } }
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

run "refuses_capturing_nothing" {
  command = plan

  variables {
    capture = { percent = 0, destination_uri = "s3://b/captures" }
  }

  expect_failures = [var.capture]
}

run "refuses_capturing_more_than_everything" {
  command = plan

  variables {
    capture = { percent = 101, destination_uri = "s3://b/captures" }
  }

  expect_failures = [var.capture]
}

run "refuses_capturing_to_a_local_folder" {
  command = plan

  variables {
    capture = { percent = 1, destination_uri = "/tmp" }
  }

  expect_failures = [var.capture]
}

run "refuses_more_alarms_than_sagemaker_takes" {
  command = plan

  variables {
    rollback_alarm_names = [for number in range(11) : "alarm-${number}"]
  }

  expect_failures = [var.rollback_alarm_names]
}

run "refuses_half_a_live_instance" {
  command = plan

  variables {
    live_instance_count = 1.5
  }

  expect_failures = [var.live_instance_count]
}
