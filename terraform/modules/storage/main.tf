data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  prefixes = {
    models     = "models/"
    captures   = "captures/"
    wheelhouse = "wheelhouse/"
    scratch    = var.artifacts.scratch_prefix
  }

  # Of the bucket that is made, and known before it is: a first plan then shows whose policy is whose, and what it says.
  artifact_bucket_arn = "arn:${data.aws_partition.current.partition}:s3:::${aws_s3_bucket.artifacts.bucket}"

  # {prefix, uri} of each folder.
  folders = { for name, prefix in local.prefixes : name => { prefix = prefix, uri = "s3://${module.artifact_bucket.id}/${prefix}" } }
}

resource "aws_s3_bucket" "artifacts" {
  # Bucket names are global: the account makes ours unique.
  bucket        = "${var.prefix}-artifacts-${data.aws_caller_identity.current.account_id}"
  force_destroy = var.artifacts.force_destroy
}

module "artifact_bucket" {
  source = "../private_bucket"

  bucket            = { id = aws_s3_bucket.artifacts.bucket, arn = local.artifact_bucket_arn }
  kms_key_arn       = var.artifacts.kms_key_arn
  abort_upload_days = var.artifacts.lifecycle_rules ? 7 : null
  noncurrent_days   = var.artifacts.lifecycle_rules ? var.artifacts.noncurrent_days : null
  expirations = {
    for rule in ["expire-scratch"] : rule => { prefix = var.artifacts.scratch_prefix, days = var.artifacts.scratch_days }
    if var.artifacts.lifecycle_rules
  }
}

resource "aws_s3_object" "archive" {
  for_each = var.archives

  bucket       = module.artifact_bucket.id
  key          = "${local.prefixes.models}${each.key}/model.tar.gz"
  source       = each.value
  source_hash  = each.key
  content_type = "application/gzip"

  lifecycle {
    # The key says what is in the object. Without this, a path that differs between a laptop and CI uploads the same
    # archive again, and fails where the file of a retained model is no longer there.
    ignore_changes = [source]
  }
}
