output "repositories" {
  description = "Addresses of the repositories, by what their images are for."
  value       = { for image, repository in aws_ecr_repository.this : image => repository.repository_url }
}
