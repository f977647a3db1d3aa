output "notebook_name" {
  description = "The notebook instance."
  value       = null
}

output "notebook_arn" {
  description = "Its ARN, for a policy that lets somebody open or stop it."
  value       = null
}

output "notebook_url" {
  description = "Its address; it asks for a presigned URL."
  value       = null
}
