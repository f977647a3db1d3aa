# Both are made after the endpoint and go before it, because resource_id comes from the endpoint's output: a target
# still registered would scale, and hold up, an endpoint that is being deleted.

resource "aws_appautoscaling_target" "variant" {
  service_namespace  = "sagemaker"
  scalable_dimension = "sagemaker:variant:DesiredInstanceCount"
  resource_id        = "endpoint/${var.endpoint.name}/variant/${var.endpoint.variant}"
  min_capacity       = var.autoscaling.min_instances
  max_capacity       = var.autoscaling.max_instances
}

resource "aws_appautoscaling_policy" "target_tracking" {
  name               = "${var.endpoint.name}-target-tracking"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.variant.service_namespace
  scalable_dimension = aws_appautoscaling_target.variant.scalable_dimension
  resource_id        = aws_appautoscaling_target.variant.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.autoscaling.target
    scale_in_cooldown  = var.autoscaling.scale_in_cooldown_seconds
    scale_out_cooldown = var.autoscaling.scale_out_cooldown_seconds
    disable_scale_in   = var.autoscaling.disable_scale_in

    predefined_metric_specification {
      predefined_metric_type = var.autoscaling.metric
    }
  }
}
