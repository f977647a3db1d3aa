mock_provider "aws" {}

variables {
  name     = "kennel-dev-classify"
  stage    = "dev"
  role_arn = "arn:aws:iam::123456789012:role/kennel-dev-lambda"
  endpoint = { name = "kennel-dev" }
  lambda   = { package = "tests/package.zip" }
}

run "refuses_a_name_with_a_dot" {
  command = plan

  variables {
    name = "kennel.classify"
  }

  expect_failures = [var.name]
}

run "refuses_an_unknown_stage" {
  command = plan

  variables {
    stage = "test"
  }

  expect_failures = [var.stage]
}

run "refuses_a_role_that_is_no_arn" {
  command = plan

  variables {
    role_arn = "kennel-dev-lambda"
  }

  expect_failures = [var.role_arn]
}

run "refuses_an_endpoint_name_with_a_comma" {
  command = plan

  variables {
    endpoint = { name = "kennel-dev,other" }
  }

  expect_failures = [var.endpoint]
}

run "refuses_an_alias_that_no_endpoint_could_have" {
  command = plan

  variables {
    endpoint = { name = "kennel-dev", aliases = ["dog breeds"] }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_package_that_is_no_zip" {
  command = plan

  variables {
    lambda = { package = "main.tf" }
  }

  expect_failures = [var.lambda]
}

run "refuses_an_old_runtime" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", runtime = "python3.8" }
  }

  expect_failures = [var.lambda]
}

run "refuses_an_unknown_architecture" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", architecture = "riscv" }
  }

  expect_failures = [var.lambda]
}

run "refuses_too_little_memory" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", memory_mb = 127 }
  }

  expect_failures = [var.lambda]
}

run "refuses_too_much_memory" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", memory_mb = 10241 }
  }

  expect_failures = [var.lambda]
}

run "refuses_no_time" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", timeout_seconds = 0 }
  }

  expect_failures = [var.lambda]
}

run "refuses_more_than_a_quarter_of_an_hour" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", timeout_seconds = 901 }
  }

  expect_failures = [var.lambda]
}

run "refuses_to_reserve_fewer_than_fifty" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", reserved_concurrency = 49 }
  }

  expect_failures = [var.lambda]
}

run "refuses_to_reserve_more_than_a_hundred" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", reserved_concurrency = 101 }
  }

  expect_failures = [var.lambda]
}

run "refuses_to_provision_more_than_is_reserved" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", reserved_concurrency = 60, provisioned_concurrency = 61 }
  }

  expect_failures = [var.lambda]
}

run "refuses_to_provision_none" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", provisioned_concurrency = 0 }
  }

  expect_failures = [var.lambda]
}

run "refuses_an_unknown_log_level" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", log_level = "TRACE" }
  }

  expect_failures = [var.lambda]
}

run "refuses_a_retention_that_cloudwatch_does_not_know" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", log_retention_days = 10 }
  }

  expect_failures = [var.lambda]
}

run "refuses_plain_http_in_dev" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", fetch = { allow_http = true } }
  }

  expect_failures = [var.lambda]
}

run "refuses_loopback_addresses_in_dev" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", fetch = { allow_loopback = true } }
  }

  expect_failures = [var.lambda]
}

run "refuses_plain_http_in_prod" {
  command = plan

  variables {
    stage  = "prod"
    lambda = { package = "tests/package.zip", fetch = { allow_http = true } }
  }

  expect_failures = [var.lambda]
}

run "refuses_loopback_addresses_in_prod" {
  command = plan

  variables {
    stage  = "prod"
    lambda = { package = "tests/package.zip", fetch = { allow_loopback = true } }
  }

  expect_failures = [var.lambda]
}

run "refuses_to_fetch_nothing" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", fetch = { max_bytes = 0 } }
  }

  expect_failures = [var.lambda]
}

run "refuses_to_fetch_more_than_an_endpoint_takes" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", fetch = { max_bytes = 6291457 } }
  }

  expect_failures = [var.lambda]
}

run "refuses_no_time_to_fetch" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", fetch = { timeout_seconds = 0 } }
  }

  expect_failures = [var.lambda]
}

run "refuses_to_fetch_for_as_long_as_it_may_run" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", timeout_seconds = 10, fetch = { timeout_seconds = 10 } }
  }

  expect_failures = [var.lambda]
}

run "refuses_a_failure_destination_that_is_neither_queue_nor_topic" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", asynchronous = { on_failure_arn = "arn:aws:s3:::bucket" } }
  }

  expect_failures = [var.lambda]
}

run "refuses_a_fifo_queue_as_failure_destination" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", asynchronous = { on_failure_arn = "arn:aws:sqs:us-east-1:123456789012:failed.fifo" } }
  }

  expect_failures = [var.lambda]
}

run "refuses_three_retries" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", asynchronous = { retries = 3 } }
  }

  expect_failures = [var.lambda]
}

run "refuses_events_younger_than_a_minute" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", asynchronous = { max_event_age_seconds = 59 } }
  }

  expect_failures = [var.lambda]
}

run "refuses_events_older_than_six_hours" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", asynchronous = { max_event_age_seconds = 21601 } }
  }

  expect_failures = [var.lambda]
}

run "refuses_a_vpc_without_subnets" {
  command = plan

  variables {
    vpc = { subnet_ids = [], security_group_ids = ["sg-1"] }
  }

  expect_failures = [var.vpc]
}

run "refuses_an_alias_that_looks_like_a_version" {
  command = plan

  variables {
    alias = "7"
  }

  expect_failures = [var.alias]
}
