provider "aws" {
  region = var.region

  # A cloud that throttles or fails for longer than minutes is told; the provider's own 25 would take hours.
  max_retries = 8

  default_tags {
    tags = local.tags
  }
}
