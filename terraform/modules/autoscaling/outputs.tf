output "scaling" {
  description = "What is declared: min, max, policy, metric, target (null with steps), both cooldowns in seconds, whether it scales in, and the names of what is scheduled, which may have moved min and max."
  value = {
    min                        = var.autoscaling.min_instances
    max                        = var.autoscaling.max_instances
    policy                     = var.autoscaling.policy
    metric                     = var.autoscaling.metric
    target                     = var.autoscaling.policy == "target-tracking" ? var.autoscaling.target : null
    scale_in_cooldown_seconds  = var.autoscaling.scale_in_cooldown_seconds
    scale_out_cooldown_seconds = var.autoscaling.scale_out_cooldown_seconds
    scales_in                  = var.autoscaling.policy == "step" ? try(var.autoscaling.step.scale_in != null, false) : !var.autoscaling.disable_scale_in
    scheduled                  = keys(var.autoscaling.scheduled)
  }
  # Without it the limits would read as being in force while nothing scales yet.
  depends_on = [aws_appautoscaling_policy.target_tracking, aws_cloudwatch_metric_alarm.step]
}

output "resource_id" {
  description = "What Application Auto Scaling calls the variant."
  value       = aws_appautoscaling_target.variant.resource_id
}

output "policy_names" {
  description = "The scaling policies."
  value       = concat(aws_appautoscaling_policy.target_tracking[*].name, values(aws_appautoscaling_policy.step)[*].name)
}
