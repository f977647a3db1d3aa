# Scaling in steps, on alarms of our own: by choice, in place of target tracking.

locals {
  # Without data nobody asks anything.
  directions = var.autoscaling.policy != "step" ? {} : {
    for direction, rule in {
      out = {
        threshold    = var.autoscaling.step.scale_out.threshold
        periods      = var.autoscaling.step.scale_out.periods
        cooldown     = var.autoscaling.scale_out_cooldown_seconds
        comparison   = "GreaterThanThreshold"
        missing_data = "notBreaching"
        steps = [for index, step in var.autoscaling.step.scale_out.steps : {
          from   = step.above
          to     = try(var.autoscaling.step.scale_out.steps[index + 1].above, null)
          change = step.add
        }]
      }
      in = try({
        threshold    = var.autoscaling.step.scale_in.threshold
        periods      = var.autoscaling.step.scale_in.periods
        cooldown     = var.autoscaling.scale_in_cooldown_seconds
        comparison   = "LessThanThreshold"
        missing_data = "breaching"
        steps        = [{ from = null, to = 0, change = -var.autoscaling.step.scale_in.remove }]
      }, null)
    } : direction => rule if rule != null
  }

  alarm_metric = {
    SageMakerVariantInvocationsPerInstance                   = { name = "InvocationsPerInstance", statistic = "Sum", seconds = 60 }
    SageMakerVariantConcurrentRequestsPerModelHighResolution = { name = "ConcurrentRequestsPerModel", statistic = "Average", seconds = 10 }
  }[var.autoscaling.metric]
}

resource "aws_appautoscaling_policy" "step" {
  for_each = local.directions

  name               = "${var.endpoint.name}-scale-${each.key}"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.variant.service_namespace
  scalable_dimension = aws_appautoscaling_target.variant.scalable_dimension
  resource_id        = aws_appautoscaling_target.variant.resource_id

  step_scaling_policy_configuration {
    adjustment_type         = "ChangeInCapacity"
    metric_aggregation_type = "Average"
    cooldown                = each.value.cooldown

    dynamic "step_adjustment" {
      for_each = each.value.steps
      content {
        metric_interval_lower_bound = step_adjustment.value.from
        metric_interval_upper_bound = step_adjustment.value.to
        scaling_adjustment          = step_adjustment.value.change
      }
    }
  }

  lifecycle {
    # It goes with its target.
    replace_triggered_by = [aws_appautoscaling_target.variant.id]
  }
}

resource "aws_cloudwatch_metric_alarm" "step" {
  for_each = local.directions

  alarm_name          = "${var.endpoint.name}-scale-${each.key}"
  alarm_description   = "Scales the endpoint ${var.endpoint.name} ${each.key}."
  namespace           = "AWS/SageMaker"
  metric_name         = local.alarm_metric.name
  statistic           = local.alarm_metric.statistic
  period              = local.alarm_metric.seconds
  dimensions          = { EndpointName = var.endpoint.name, VariantName = var.endpoint.variant }
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = each.value.periods
  treat_missing_data  = each.value.missing_data
  alarm_actions       = [aws_appautoscaling_policy.step[each.key].arn]
}
