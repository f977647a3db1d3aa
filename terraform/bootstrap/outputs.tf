output "state_bucket" {
  description = "The stage's state bucket, for -backend-config=bucket=…"
  value       = module.state_bucket.id
}
