# One run for each validation; every other value is one that it permits.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  bucket = { id = "photos", arn = "arn:aws:s3:::photos" }
}

run "a_key_by_id_instead_of_arn_is_refused" {
  command = plan

  variables {
    kms_key_arn = "0a1b"
  }

  expect_failures = [var.kms_key_arn]
}

run "half_a_day_is_refused" {
  command = plan

  variables {
    noncurrent_days = 0.5
  }

  expect_failures = [var.noncurrent_days]
}

run "an_expiry_of_everything_is_refused" {
  command = plan

  variables {
    expirations = { all = { prefix = "/", days = 14 } }
  }

  expect_failures = [var.expirations]
}

run "an_expiry_after_no_days_is_refused" {
  command = plan

  variables {
    expirations = { scratch = { prefix = "training/", days = 0 } }
  }

  expect_failures = [var.expirations]
}

run "uploads_that_are_aborted_at_once_are_refused" {
  command = plan

  variables {
    abort_upload_days = 0
  }

  expect_failures = [var.abort_upload_days]
}

run "a_key_by_alias_is_refused" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:alias/kennel"
  }

  expect_failures = [var.kms_key_arn]
}
