output "artifact_bucket" {
  description = "The artifact bucket: name, arn and kms_key_arn (null: S3's own keys); usable once it is private, encrypted and versioned."
  value       = null
}

output "archives" {
  description = "Uploaded model archives by SHA-256: {key, uri}."
  value       = null
}

output "wheelhouse" {
  description = "Where the wheels for instances with no way out belong: {prefix, uri}."
  value       = null
}

output "scratch" {
  description = "Where jobs leave their scratch files: {prefix, uri}."
  value       = null
}

output "data_bucket" {
  description = "The data bucket: name, arn, mode, key_prefix, kms_key_arn and uri; null without one."
  value       = null
}

output "data_reader_policy" {
  description = "Our side: the policy document (JSON) that lets a role read the data; null without a data bucket. For the iam module to merge."
  value       = null
}

output "data_bucket_policy" {
  description = "The other side: the bucket policy (JSON) for the account that owns the data bucket; null where the bucket is ours or nobody reads it."
  value       = null
}

output "data_key_policy" {
  description = "The other side: the statements (JSON) for the policy of the KMS key that the data is encrypted with; null where none is needed."
  value       = null
}
