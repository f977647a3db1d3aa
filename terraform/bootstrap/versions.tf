terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # The bucket that other state goes into cannot hold its own: this state is a local file, and what it knows can be read
  # from the account again (terraform import).
  backend "local" {}
}

provider "aws" {
  region      = var.region
  max_retries = 8

  default_tags {
    # Without the root's kennel:stage: what carries that tag is expected to be gone after a destroy.
    tags = merge(var.tags, { project = var.prefix, stage = var.stage, managed-by = "terraform" })
  }
}
