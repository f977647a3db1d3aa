# All are made after the endpoint and go before it, because resource_id comes from the endpoint's output: a target
# still registered would scale, and hold up, an endpoint that is being deleted.

# SageMaker refuses another instance type for a variant that is registered.
resource "terraform_data" "instance_type" {
  triggers_replace = var.instance_type
}

# What is declared, not what is in force: a scheduled action moves the limits of the target.
resource "terraform_data" "limits" {
  triggers_replace = { min = var.autoscaling.min_instances, max = var.autoscaling.max_instances }
}

resource "aws_appautoscaling_target" "variant" {
  service_namespace  = "sagemaker"
  scalable_dimension = "sagemaker:variant:DesiredInstanceCount"
  resource_id        = "endpoint/${var.endpoint.name}/variant/${var.endpoint.variant}"
  min_capacity       = var.autoscaling.min_instances
  max_capacity       = var.autoscaling.max_instances

  lifecycle {
    # Without it every plan would undo the scheduled action that is in force.
    ignore_changes       = [min_capacity, max_capacity]
    replace_triggered_by = [terraform_data.limits, terraform_data.instance_type]
  }
}

resource "aws_appautoscaling_policy" "target_tracking" {
  count = var.autoscaling.policy == "target-tracking" ? 1 : 0

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

  lifecycle {
    # It goes with its target.
    replace_triggered_by = [aws_appautoscaling_target.variant.id]
  }
}

moved {
  from = aws_appautoscaling_policy.target_tracking
  to   = aws_appautoscaling_policy.target_tracking[0]
}

resource "aws_appautoscaling_scheduled_action" "scheduled" {
  for_each = var.autoscaling.scheduled

  name               = "${var.endpoint.name}-${each.key}"
  service_namespace  = aws_appautoscaling_target.variant.service_namespace
  scalable_dimension = aws_appautoscaling_target.variant.scalable_dimension
  resource_id        = aws_appautoscaling_target.variant.resource_id
  schedule           = each.value.schedule
  timezone           = each.value.timezone

  scalable_target_action {
    min_capacity = each.value.min_instances
    max_capacity = each.value.max_instances
  }

  lifecycle {
    # As for the policy.
    replace_triggered_by = [aws_appautoscaling_target.variant.id]
  }
}
