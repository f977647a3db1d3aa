output "function_name" {
  description = "The function."
  value       = aws_lambda_function.this.function_name
}

output "alias" {
  description = "The alias that callers use, once what is kept warm behind it is warm."
  value       = aws_lambda_alias.live.name
  # Without it callers would meet cold starts that they pay not to have.
  depends_on = [aws_lambda_provisioned_concurrency_config.live]
}

output "alias_arn" {
  description = "The alias's ARN, for a policy that lets somebody invoke it."
  value       = aws_lambda_alias.live.arn
}

output "version" {
  description = "The version that the alias points to."
  value       = aws_lambda_alias.live.function_version
}

output "url" {
  description = "The function URL, for signed calls; null without one."
  value       = one(aws_lambda_function_url.live[*].function_url)
}

output "log_group" {
  description = "The log group: name and arn. Depends on nothing else here, so that the role can be made from it."
  value = {
    name = aws_cloudwatch_log_group.function.name
    arn  = aws_cloudwatch_log_group.function.arn
  }
}
