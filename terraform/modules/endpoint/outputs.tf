output "name" {
  description = "The endpoint, once it is in service."
  value       = aws_sagemaker_endpoint.this.name
}

output "arn" {
  description = "Its ARN."
  value       = aws_sagemaker_endpoint.this.arn
}

output "variant" {
  description = "Its production variant."
  value       = var.variant
}

output "config_name" {
  description = "The configuration that it is meant to run."
  value       = aws_sagemaker_endpoint_configuration.this.name
}

output "model_name" {
  description = "The SageMaker model in that configuration."
  value       = aws_sagemaker_model.this.name
}

output "log_group" {
  description = "The containers' log group: name and arn. Depends on nothing else here, so that the role can be made from it."
  value = {
    name = aws_cloudwatch_log_group.containers.name
    arn  = aws_cloudwatch_log_group.containers.arn
  }
}

output "instance_type" {
  description = "The machines' type."
  value       = var.endpoint.instance_type
}
