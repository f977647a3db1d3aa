output "instance_id" {
  description = "The instance: `aws ssm start-session --target` takes it."
  value       = aws_instance.this.id
}

output "log_group" {
  description = "The log group of what training writes: name and arn. Depends on nothing else here, so that the role can be made from it."
  value = {
    name = aws_cloudwatch_log_group.this.name
    arn  = aws_cloudwatch_log_group.this.arn
  }
}

output "ami_id" {
  description = "The Amazon Linux 2023 image that the instance was made from."
  value       = aws_instance.this.ami
}

output "private_ip" {
  description = "The instance's address in the VPC."
  value       = aws_instance.this.private_ip
}

output "install_from" {
  description = "Where its packages came from: pypi or wheelhouse."
  value       = local.install_from
}
