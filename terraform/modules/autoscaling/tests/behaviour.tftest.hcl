mock_provider "aws" {}

variables {
  endpoint      = { name = "kennel-dev", variant = "primary" }
  instance_type = "ml.m5.large"
}

run "registers_the_variant_between_one_and_four_instances" {
  command = plan

  assert {
    condition = (
      aws_appautoscaling_target.variant.resource_id == "endpoint/kennel-dev/variant/primary"
      && aws_appautoscaling_target.variant.scalable_dimension == "sagemaker:variant:DesiredInstanceCount"
      && aws_appautoscaling_target.variant.service_namespace == "sagemaker"
      && aws_appautoscaling_target.variant.min_capacity == 1
      && aws_appautoscaling_target.variant.max_capacity == 4
    )
    error_message = "The variant must be registered with 1 to 4 instances."
  }
}

run "holds_a_hundred_requests_a_minute_an_instance_with_cooldowns_of_ten_seconds" {
  command = plan

  assert {
    condition = (
      aws_appautoscaling_policy.target_tracking[0].policy_type == "TargetTrackingScaling"
      && aws_appautoscaling_policy.target_tracking[0].target_tracking_scaling_policy_configuration[0].target_value == 100
      && aws_appautoscaling_policy.target_tracking[0].target_tracking_scaling_policy_configuration[0].scale_in_cooldown == 10
      && aws_appautoscaling_policy.target_tracking[0].target_tracking_scaling_policy_configuration[0].scale_out_cooldown == 10
      && !aws_appautoscaling_policy.target_tracking[0].target_tracking_scaling_policy_configuration[0].disable_scale_in
      && aws_appautoscaling_policy.target_tracking[0].target_tracking_scaling_policy_configuration[0].predefined_metric_specification[0].predefined_metric_type == "SageMakerVariantInvocationsPerInstance"
    )
    error_message = "The defaults must be the replaced workflow's: target 100, both cooldowns 10 s."
  }
}

run "only_scales_out_by_choice" {
  command = plan

  variables {
    autoscaling = { disable_scale_in = true }
  }

  assert {
    condition     = aws_appautoscaling_policy.target_tracking[0].target_tracking_scaling_policy_configuration[0].disable_scale_in && !output.scaling.scales_in
    error_message = "Scaling in must be off, and the output must say so."
  }
}

run "tracks_requests_in_flight_by_choice" {
  command = plan

  variables {
    autoscaling = { metric = "SageMakerVariantConcurrentRequestsPerModelHighResolution", target = 3 }
  }

  assert {
    condition = (
      aws_appautoscaling_policy.target_tracking[0].target_tracking_scaling_policy_configuration[0].predefined_metric_specification[0].predefined_metric_type == "SageMakerVariantConcurrentRequestsPerModelHighResolution"
      && output.scaling.target == 3
    )
    error_message = "The high-resolution metric must be taken with its target."
  }
}

run "takes_the_module_defaults_for_null" {
  command = plan

  variables {
    autoscaling = { min_instances = 2, target = null }
  }

  assert {
    condition     = output.scaling.min == 2 && output.scaling.max == 4 && output.scaling.target == 100
    error_message = "A null field must take its default."
  }
}

run "scales_in_steps_by_choice" {
  command = plan

  variables {
    autoscaling = {
      policy = "step"
      step = {
        scale_out = { threshold = 100, steps = [{ above = 0, add = 1 }, { above = 100, add = 3 }] }
        scale_in  = { threshold = 50 }
      }
    }
  }

  assert {
    condition     = length(aws_appautoscaling_policy.target_tracking) == 0 && output.scaling.target == null && output.scaling.scales_in
    error_message = "Steps must take the place of the target."
  }
  assert {
    condition = {
      for step in aws_appautoscaling_policy.step["out"].step_scaling_policy_configuration[0].step_adjustment :
      tonumber(step.metric_interval_lower_bound) => step.scaling_adjustment
    } == { 0 = 1, 100 = 3 }
    error_message = "The steps must be those given."
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.step["out"].metric_name == "InvocationsPerInstance"
      && aws_cloudwatch_metric_alarm.step["out"].statistic == "Sum"
      && aws_cloudwatch_metric_alarm.step["out"].period == 60
      && aws_cloudwatch_metric_alarm.step["out"].evaluation_periods == 3
      && aws_cloudwatch_metric_alarm.step["out"].treat_missing_data == "notBreaching"
    )
    error_message = "Scaling out must wait for three minutes above the threshold."
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.step["in"].evaluation_periods == 15
      && aws_cloudwatch_metric_alarm.step["in"].comparison_operator == "LessThanThreshold"
      && aws_cloudwatch_metric_alarm.step["in"].treat_missing_data == "breaching"
    )
    error_message = "Scaling in must wait for fifteen quiet minutes, and count silence as quiet."
  }
}

run "never_scales_in_without_a_step_for_it" {
  command = plan

  variables {
    autoscaling = {
      policy = "step"
      metric = "SageMakerVariantConcurrentRequestsPerModelHighResolution"
      step   = { scale_out = { threshold = 4 } }
    }
  }

  assert {
    condition     = toset(keys(aws_appautoscaling_policy.step)) == toset(["out"]) && aws_cloudwatch_metric_alarm.step["out"].period == 10 && !output.scaling.scales_in
    error_message = "Only scaling out was asked for, on the metric of ten seconds."
  }
}

run "changes_its_range_by_the_clock" {
  command = plan

  variables {
    autoscaling = {
      scheduled = {
        morning = { schedule = "cron(0 8 ? * MON-FRI *)", timezone = "Europe/Berlin", min_instances = 3 }
        evening = { schedule = "cron(0 20 ? * MON-FRI *)", timezone = "Europe/Berlin", min_instances = 1, max_instances = 2 }
      }
    }
  }

  assert {
    condition = (
      aws_appautoscaling_scheduled_action.scheduled["morning"].name == "kennel-dev-morning"
      && aws_appautoscaling_scheduled_action.scheduled["morning"].timezone == "Europe/Berlin"
      && tonumber(aws_appautoscaling_scheduled_action.scheduled["morning"].scalable_target_action[0].min_capacity) == 3
      && aws_appautoscaling_scheduled_action.scheduled["morning"].scalable_target_action[0].max_capacity == null
      && output.scaling.scheduled == tolist(["evening", "morning"])
    )
    error_message = "The actions must be those given."
  }
}
