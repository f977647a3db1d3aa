mock_provider "aws" {}

variables {
  endpoint = { name = "kennel-dev", variant = "primary" }
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
      aws_appautoscaling_policy.target_tracking.policy_type == "TargetTrackingScaling"
      && aws_appautoscaling_policy.target_tracking.target_tracking_scaling_policy_configuration[0].target_value == 100
      && aws_appautoscaling_policy.target_tracking.target_tracking_scaling_policy_configuration[0].scale_in_cooldown == 10
      && aws_appautoscaling_policy.target_tracking.target_tracking_scaling_policy_configuration[0].scale_out_cooldown == 10
      && !aws_appautoscaling_policy.target_tracking.target_tracking_scaling_policy_configuration[0].disable_scale_in
      && aws_appautoscaling_policy.target_tracking.target_tracking_scaling_policy_configuration[0].predefined_metric_specification[0].predefined_metric_type == "SageMakerVariantInvocationsPerInstance"
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
    condition     = aws_appautoscaling_policy.target_tracking.target_tracking_scaling_policy_configuration[0].disable_scale_in && !output.scaling.scales_in
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
      aws_appautoscaling_policy.target_tracking.target_tracking_scaling_policy_configuration[0].predefined_metric_specification[0].predefined_metric_type == "SageMakerVariantConcurrentRequestsPerModelHighResolution"
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
