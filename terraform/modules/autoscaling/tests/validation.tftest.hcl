mock_provider "aws" {}

variables {
  endpoint      = { name = "kennel-dev", variant = "primary" }
  instance_type = "ml.m5.large"
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

run "refuses_an_unknown_policy" {
  command = plan

  variables {
    autoscaling = { policy = "simple" }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_steps_that_are_not_given" {
  command = plan

  variables {
    autoscaling = { policy = "step" }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_steps_beside_a_target" {
  command = plan

  variables {
    autoscaling = { step = { scale_out = { threshold = 100 } } }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_to_disable_scaling_in_beside_steps" {
  command = plan

  variables {
    autoscaling = { policy = "step", disable_scale_in = true, step = { scale_out = { threshold = 100 } } }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_no_periods" {
  command = plan

  variables {
    autoscaling = { policy = "step", step = { scale_out = { threshold = 100, periods = 0 } } }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_to_scale_in_where_it_scales_out" {
  command = plan

  variables {
    autoscaling = { policy = "step", step = { scale_out = { threshold = 100 }, scale_in = { threshold = 100 } } }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_to_remove_nothing" {
  command = plan

  variables {
    autoscaling = { policy = "step", step = { scale_out = { threshold = 100 }, scale_in = { threshold = 50, remove = 0 } } }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_steps_that_do_not_rise" {
  command = plan

  variables {
    autoscaling = { policy = "step", step = { scale_out = { threshold = 100, steps = [{ above = 0, add = 1 }, { above = 0, add = 2 }] } } }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_no_steps" {
  command = plan

  variables {
    autoscaling = { policy = "step", step = { scale_out = { threshold = 100, steps = [] } } }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_a_schedule_with_a_name_that_aws_refuses" {
  command = plan

  variables {
    autoscaling = { scheduled = { "a|b" = { schedule = "rate(1 day)", min_instances = 1 } } }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_a_schedule_of_five_fields" {
  command = plan

  variables {
    autoscaling = { scheduled = { day = { schedule = "cron(0 8 * * *)", min_instances = 1 } } }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_a_timezone_that_is_none" {
  command = plan

  variables {
    autoscaling = { scheduled = { day = { schedule = "rate(1 day)", timezone = "+02:00", min_instances = 1 } } }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_a_schedule_that_changes_nothing" {
  command = plan

  variables {
    autoscaling = { scheduled = { day = { schedule = "rate(1 day)" } } }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_a_schedule_with_a_minimum_above_its_maximum" {
  command = plan

  variables {
    autoscaling = { scheduled = { day = { schedule = "rate(1 day)", min_instances = 3, max_instances = 2 } } }
  }

  expect_failures = [var.autoscaling]
}

run "refuses_what_is_no_instance_type" {
  command = plan

  variables {
    instance_type = "m5.large"
  }

  expect_failures = [var.instance_type]
}
