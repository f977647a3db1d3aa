output "state_bucket" {
  description = "The stage's state bucket, for -backend-config=bucket=…"
  value       = module.state_bucket.id
}

output "plan_role_arn" {
  description = "The role that a pipeline plans as; null without ci."
  value       = one(values(aws_iam_role.plan)[*].arn)
  depends_on  = [aws_iam_role_policy_attachment.plan] # a run that comes before them would be refused
}

output "apply_role_arn" {
  description = "The role that a pipeline applies as; null without ci."
  value       = one(values(aws_iam_role.apply)[*].arn)
  depends_on  = [aws_iam_role_policy_attachment.apply]
}

output "oidc_provider_arn" {
  description = "The provider whose tokens are believed, for another stage's ci.provider_arn in the same account; null without ci."
  value       = local.provider_arn
}
