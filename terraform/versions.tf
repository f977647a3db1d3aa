terraform {
  # 1.9: a validation may refer to other variables; 1.10: the S3 backend locks natively; 1.11: test overrides while planning.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # Bucket, key and region belong to the stage and come with `terraform init -backend-config`.
  backend "s3" {}
}
