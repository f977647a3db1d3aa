locals {
  data_mode   = try(var.data_bucket.mode, "none")
  data_create = local.data_mode == "create"
  data_folder = try(coalesce(var.data_bucket.key_prefix), "") # "" is the whole bucket
  data_name = local.data_mode == "none" ? null : coalesce(
    var.data_bucket.name, "${var.prefix}-data-${data.aws_caller_identity.current.account_id}"
  )

  data_arn = local.data_mode == "none" ? null : "arn:${data.aws_partition.current.partition}:s3:::${local.data_create ? aws_s3_bucket.data[0].bucket : local.data_name}"

  data = local.data_mode == "none" ? null : {
    mode = local.data_mode
    name = local.data_create ? module.data_bucket[0].id : local.data_name
    # Another account's bucket is not ours to look up before its policy lets us in.
    arn         = local.data_arn
    key_prefix  = var.data_bucket.key_prefix
    kms_key_arn = var.data_bucket.kms_key_arn
    uri         = "s3://${local.data_name}/${local.data_folder}"
  }
}

# Photos cost more than anything else here: there is no setting that destroys them. force_destroy stays false, and
# prevent_destroy, which takes no variable, makes a bare `terraform destroy` stop before it has touched anything: S3 would
# refuse to delete a bucket that holds photos, but only after its policy and public-access block are gone. The `destroy`
# task takes the bucket out of the state first (aws_s3_bucket.data and module.data_bucket), and leaves it as it is.
resource "aws_s3_bucket" "data" {
  count = local.data_create ? 1 : 0

  bucket        = local.data_name
  force_destroy = false

  lifecycle {
    prevent_destroy = true
  }
}

module "data_bucket" {
  source = "../private_bucket"
  count  = local.data_create ? 1 : 0

  bucket      = { id = aws_s3_bucket.data[0].bucket, arn = local.data_arn }
  kms_key_arn = var.data_bucket.kms_key_arn
}
