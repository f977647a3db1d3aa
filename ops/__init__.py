"""What surrounds a deployment: stages, Terraform, plans, checks."""
