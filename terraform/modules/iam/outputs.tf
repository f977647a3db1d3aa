output "roles" {
  description = "The roles by actor (endpoint, training, training_instance, lambda, notebook, as far as there are such): name and arn; usable once they have their rights."
  value       = { for name, role in aws_iam_role.actor : name => { name = role.name, arn = role.arn } }
  # Without it an endpoint or function starts with a role that may do nothing yet, and fails.
  depends_on = [aws_iam_role_policy.actor]
}

output "training_instance_profile_name" {
  description = "The training instance's profile; null without one."
  value       = one(aws_iam_instance_profile.training_instance[*].name)
  depends_on  = [aws_iam_role_policy.actor] # without it the user data runs before it may read the wheelhouse
}
