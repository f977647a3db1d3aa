data "aws_caller_identity" "current" {}

resource "aws_s3_bucket" "state" {
  # Bucket names are global: the account makes ours unique.
  bucket        = "${var.prefix}-${var.stage}-terraform-state-${data.aws_caller_identity.current.account_id}"
  force_destroy = false

  lifecycle {
    # With the state gone, nobody knows any more what to destroy, and all of it goes on costing money.
    prevent_destroy = true
  }
}

module "state_bucket" {
  source = "../modules/private_bucket"

  bucket = { id = aws_s3_bucket.state.id, arn = aws_s3_bucket.state.arn }
  # Nothing of the state expires: each version of the state is small, and any may be the last good one. The first command in a new
  # account is also a minute faster, for that is how long the provider watches a lifecycle configuration.
  abort_upload_days = try(var.ci.plan_days, 0) > 0 ? 7 : null
  # A plan holds what the state holds, secrets included: it goes for good when nobody merges it any more.
  expirations = {
    for prefix in ["models", "plans"] : "expire-${prefix}" => { prefix = "${prefix}/", days = var.ci.plan_days, noncurrent_days = 1 }
    if try(var.ci.plan_days, 0) > 0
  }
}
