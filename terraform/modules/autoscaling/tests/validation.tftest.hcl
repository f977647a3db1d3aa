mock_provider "aws" {}

variables {
  endpoint = { name = "kennel-dev", variant = "primary" }
}

run "refuses_an_endpoint_without_a_name" {
  command = plan

  variables {
    endpoint = { name = "", variant = "primary" }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_minimum_of_zero" {
  command = plan

  variables {
    autoscaling = { min_instances = 0 }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_a_minimum_that_is_not_whole" {
  command = plan

  variables {
    autoscaling = { min_instances = 1.5 }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_a_maximum_below_the_minimum" {
  command = plan

  variables {
    autoscaling = { min_instances = 3, max_instances = 2 }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_a_maximum_that_is_not_whole" {
  command = plan

  variables {
    autoscaling = { max_instances = 2.5 }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_an_unknown_metric" {
  command = plan

  variables {
    autoscaling = { metric = "CPUUtilization" }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_a_target_of_zero" {
  command = plan

  variables {
    autoscaling = { target = 0 }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_a_negative_scale_in_cooldown" {
  command = plan

  variables {
    autoscaling = { scale_in_cooldown_seconds = -1 }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_a_scale_in_cooldown_above_an_hour" {
  command = plan

  variables {
    autoscaling = { scale_in_cooldown_seconds = 3601 }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_a_negative_scale_out_cooldown" {
  command = plan

  variables {
    autoscaling = { scale_out_cooldown_seconds = -1 }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_a_scale_out_cooldown_that_is_not_whole" {
  command = plan

  variables {
    autoscaling = { scale_out_cooldown_seconds = 0.5 }
  }

  expect_failures = [var.autoscaling]
}
