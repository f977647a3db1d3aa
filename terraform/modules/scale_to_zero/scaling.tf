# Target tracking takes the last copy away, and the instance with it. It cannot bring the first one back: without a copy there is
# nothing to measure. A refused request does.

resource "aws_appautoscaling_target" "copies" {
  service_namespace  = "sagemaker"
  scalable_dimension = "sagemaker:inference-component:DesiredCopyCount"
  resource_id        = "inference-component/${var.component}"
  min_capacity       = var.autoscaling.min_instances
  max_capacity       = var.autoscaling.max_instances

  # Not by the stack's output, which is unknown while the stack is updated: that would register anew with each model.
  depends_on = [aws_cloudformation_stack.this]
}

resource "aws_appautoscaling_policy" "target_tracking" {
  name               = "${var.name}-target-tracking"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.copies.service_namespace
  scalable_dimension = aws_appautoscaling_target.copies.scalable_dimension
  resource_id        = aws_appautoscaling_target.copies.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.autoscaling.target
    scale_in_cooldown  = var.autoscaling.scale_in_cooldown_seconds
    scale_out_cooldown = var.autoscaling.scale_out_cooldown_seconds

    predefined_metric_specification {
      predefined_metric_type = var.autoscaling.metric
    }
  }
}

resource "aws_appautoscaling_policy" "from_zero" {
  name               = "${var.name}-from-zero"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.copies.service_namespace
  scalable_dimension = aws_appautoscaling_target.copies.scalable_dimension
  resource_id        = aws_appautoscaling_target.copies.resource_id

  step_scaling_policy_configuration {
    adjustment_type         = "ChangeInCapacity"
    metric_aggregation_type = "Maximum"
    cooldown                = 300 # while the first copy starts, refused requests go on ringing; they bring no second

    step_adjustment {
      metric_interval_lower_bound = 0
      scaling_adjustment          = 1
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "from_zero" {
  alarm_name          = "${var.name}-from-zero"
  alarm_description   = "A request found no copy of the model: brings one."
  namespace           = "AWS/SageMaker"
  metric_name         = "NoCapacityInvocationFailures"
  statistic           = "Sum"
  period              = 60
  dimensions          = { InferenceComponentName = var.component }
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  evaluation_periods  = 1
  datapoints_to_alarm = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.from_zero.arn]
}
