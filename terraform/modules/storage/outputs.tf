output "artifact_bucket" {
  description = "The artifact bucket: name, arn and kms_key_arn (null: S3's own keys); usable once it is private, encrypted and versioned."
  value = {
    name        = module.artifact_bucket.id
    arn         = local.artifact_bucket_arn
    kms_key_arn = var.artifacts.kms_key_arn
  }
}

output "archives" {
  description = "Uploaded model archives by SHA-256: {key, uri}."
  value = {
    for sha256, object in aws_s3_object.archive : sha256 => {
      key = object.key
      uri = "s3://${object.bucket}/${object.key}"
    }
  }
}

output "folders" {
  description = "The artifact bucket's folders, each as {prefix, uri}: models, the endpoint's captures, the wheelhouse for instances with no way out, jobs' scratch files."
  value       = local.folders
}

output "data_bucket" {
  description = "The data bucket: name, arn, mode, key_prefix, kms_key_arn and uri; null without one."
  value       = local.data
}

output "data_reader_policy" {
  description = "Our side: the policy document (JSON) that lets a role read the data; null without a data bucket. For the iam module to merge."
  value       = one(data.aws_iam_policy_document.data_reader[*].json)
}

output "data_bucket_policy" {
  description = "The other side: the bucket policy (JSON) for the account that owns the data bucket; null where the bucket is ours or nobody reads it."
  value       = one(data.aws_iam_policy_document.data_bucket[*].json)
}

output "data_key_policy" {
  description = "The other side: the statements (JSON) for the policy of the KMS key that the data is encrypted with; null where none is needed."
  value       = one(data.aws_iam_policy_document.data_key[*].json)
}
