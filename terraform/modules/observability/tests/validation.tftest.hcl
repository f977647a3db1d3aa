mock_provider "aws" {}

variables {
  prefix   = "kennel-dev"
  endpoint = { name = "kennel-dev", variant = "primary" }
  lambda   = { function_name = "kennel-dev-classify", alias = "live" }
}

run "refuses_a_prefix_in_upper_case" {
  command = plan

  variables {
    prefix = "Kennel-dev"
  }

  expect_failures = [var.prefix]
}

run "refuses_an_endpoint_without_a_name" {
  command = plan

  variables {
    endpoint = { name = "", variant = "primary" }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_function_without_an_alias" {
  command = plan

  variables {
    lambda = { function_name = "kennel-dev-classify", alias = "" }
  }

  expect_failures = [var.lambda]
}

run "refuses_a_scaling_limit_of_zero" {
  command = plan

  variables {
    max_instances = 0
  }

  expect_failures = [var.max_instances]
}

run "refuses_what_is_no_email_address" {
  command = plan

  variables {
    observability = { notifications = { emails = ["ops"] } }
  }

  expect_failures = [var.observability]
}

run "refuses_a_topic_key_that_is_no_arn" {
  command = plan

  variables {
    observability = { notifications = { kms_key_arn = "alias/aws/sns" } }
  }

  expect_failures = [var.observability]
}

run "refuses_an_alarm_at_no_server_errors" {
  command = plan

  variables {
    observability = { endpoint_alarms = { server_errors = 0 } }
  }

  expect_failures = [var.observability]
}

run "refuses_an_alarm_at_no_model_errors" {
  command = plan

  variables {
    observability = { endpoint_alarms = { model_errors = 0 } }
  }

  expect_failures = [var.observability]
}

run "refuses_an_alarm_at_no_latency" {
  command = plan

  variables {
    observability = { endpoint_alarms = { latency_p99_ms = 0 } }
  }

  expect_failures = [var.observability]
}

run "refuses_an_alarm_above_the_longest_answer" {
  command = plan

  variables {
    observability = { endpoint_alarms = { latency_p99_ms = 60001 } }
  }

  expect_failures = [var.observability]
}

run "refuses_an_alarm_at_no_cpu" {
  command = plan

  variables {
    observability = { endpoint_alarms = { cpu_percent = 0 } }
  }

  expect_failures = [var.observability]
}

run "refuses_an_alarm_at_no_memory" {
  command = plan

  variables {
    observability = { endpoint_alarms = { memory_percent = 0 } }
  }

  expect_failures = [var.observability]
}

run "refuses_an_alarm_above_all_memory" {
  command = plan

  variables {
    observability = { endpoint_alarms = { memory_percent = 101 } }
  }

  expect_failures = [var.observability]
}

run "refuses_to_evaluate_for_no_time" {
  command = plan

  variables {
    observability = { endpoint_alarms = { evaluation_minutes = 0 } }
  }

  expect_failures = [var.observability]
}

run "refuses_to_evaluate_for_part_of_a_minute" {
  command = plan

  variables {
    observability = { endpoint_alarms = { evaluation_minutes = 1.5 } }
  }

  expect_failures = [var.observability]
}

run "refuses_to_evaluate_for_more_than_an_hour" {
  command = plan

  variables {
    observability = { endpoint_alarms = { evaluation_minutes = 61 } }
  }

  expect_failures = [var.observability]
}

run "refuses_an_alarm_at_no_errors_of_the_function" {
  command = plan

  variables {
    observability = { lambda_alarms = { errors = 0 } }
  }

  expect_failures = [var.observability]
}

run "refuses_an_alarm_at_no_throttles_of_the_function" {
  command = plan

  variables {
    observability = { lambda_alarms = { throttles = 0 } }
  }

  expect_failures = [var.observability]
}
