output "notebook_name" {
  description = "The notebook instance."
  value       = aws_sagemaker_notebook_instance.this.name
}

output "notebook_arn" {
  description = "Its ARN, for a policy that lets somebody open or stop it."
  value       = aws_sagemaker_notebook_instance.this.arn
}

output "notebook_url" {
  description = "Its address; it asks for a presigned URL."
  value       = aws_sagemaker_notebook_instance.this.url
}
