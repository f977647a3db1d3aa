output "instance_id" {
  description = "The instance: `aws ssm start-session --target` takes it."
  value       = null
}

output "ami_id" {
  description = "The Amazon Linux 2023 image that the instance was made from."
  value       = null
}

output "private_ip" {
  description = "The instance's address in the VPC."
  value       = null
}

output "install_from" {
  description = "Where its packages came from: pypi or wheelhouse."
  value       = null
}
