output "id" {
  description = "The bucket, once it is private, encrypted and versioned: whoever writes to it should take its name from here."
  value       = var.bucket.id

  # Without it an object may be written unencrypted by the key, unversioned, or before the bucket is closed.
  depends_on = [
    aws_s3_bucket_ownership_controls.this,
    aws_s3_bucket_policy.this,
    aws_s3_bucket_public_access_block.this,
    aws_s3_bucket_server_side_encryption_configuration.this,
    aws_s3_bucket_versioning.this,
  ]
}
