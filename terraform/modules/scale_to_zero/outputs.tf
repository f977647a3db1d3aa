output "name" {
  description = "The endpoint, once it is in service."
  value       = var.name
  depends_on  = [aws_cloudformation_stack.this]
}

output "variant" {
  description = "Its production variant."
  value       = var.variant
}

output "component" {
  description = "The inference component, by which requests have to ask."
  value       = var.component
  depends_on  = [aws_cloudformation_stack.this]
}

output "config_name" {
  description = "The configuration that the endpoint is meant to run."
  value       = aws_cloudformation_stack.this.outputs["EndpointConfigName"]
}

output "model_name" {
  description = "The SageMaker model of the inference component."
  value       = aws_cloudformation_stack.this.outputs["ModelName"]
}

output "log_group" {
  description = "The containers' log group: name and arn. Depends on nothing else here, so that the role can be made from it."
  value = {
    name = aws_cloudwatch_log_group.containers.name
    arn  = aws_cloudwatch_log_group.containers.arn
  }
}

output "scaling" {
  description = "What is declared, as the autoscaling module tells it; min and max count copies."
  value = {
    min                        = var.autoscaling.min_instances
    max                        = var.autoscaling.max_instances
    policy                     = "target-tracking"
    metric                     = var.autoscaling.metric
    target                     = var.autoscaling.target
    scale_in_cooldown_seconds  = var.autoscaling.scale_in_cooldown_seconds
    scale_out_cooldown_seconds = var.autoscaling.scale_out_cooldown_seconds
    scales_in                  = true
    scheduled                  = tolist([])
  }
  depends_on = [aws_appautoscaling_policy.target_tracking, aws_cloudwatch_metric_alarm.from_zero]
}
