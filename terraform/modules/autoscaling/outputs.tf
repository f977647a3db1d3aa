output "scaling" {
  description = "What is in force: min, max, metric, target, both cooldowns in seconds, and whether it scales in."
  value = {
    min                        = aws_appautoscaling_target.variant.min_capacity
    max                        = aws_appautoscaling_target.variant.max_capacity
    metric                     = var.autoscaling.metric
    target                     = var.autoscaling.target
    scale_in_cooldown_seconds  = var.autoscaling.scale_in_cooldown_seconds
    scale_out_cooldown_seconds = var.autoscaling.scale_out_cooldown_seconds
    scales_in                  = !var.autoscaling.disable_scale_in
  }
  # Without it the limits would read as being in force while nothing scales yet.
  depends_on = [aws_appautoscaling_policy.target_tracking]
}

output "resource_id" {
  description = "What Application Auto Scaling calls the variant."
  value       = aws_appautoscaling_target.variant.resource_id
}

output "policy_name" {
  description = "The scaling policy."
  value       = aws_appautoscaling_policy.target_tracking.name
}
