# One run for each validation; every other value is one that it permits.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  prefix = "kennel-dev"
}

run "a_prefix_with_capitals_is_refused" {
  command = plan

  variables {
    prefix = "Kennel"
  }

  expect_failures = [var.prefix]
}

run "a_key_by_id_instead_of_arn_is_refused" {
  command = plan

  variables {
    artifacts = { kms_key_arn = "0a1b" }
  }

  expect_failures = [var.artifacts]
}

run "old_versions_for_no_days_are_refused" {
  command = plan

  variables {
    artifacts = { noncurrent_days = 0 }
  }

  expect_failures = [var.artifacts]
}

run "a_scratch_prefix_that_is_no_folder_is_refused" {
  command = plan

  variables {
    artifacts = { scratch_prefix = "/training" }
  }

  expect_failures = [var.artifacts]
}

run "scratch_among_the_models_is_refused" {
  command = plan

  variables {
    artifacts = { scratch_prefix = "models/scratch/" }
  }

  expect_failures = [var.artifacts]
}

run "scratch_that_never_goes_is_refused" {
  command = plan

  variables {
    artifacts = { scratch_days = 366 }
  }

  expect_failures = [var.artifacts]
}

run "an_archive_without_a_digest_is_refused" {
  command = plan

  variables {
    archives = { latest = "model.tar.gz" }
  }

  expect_failures = [var.archives]
}

run "an_archive_of_another_kind_is_refused" {
  command = plan

  variables {
    archives = { "0000000000000000000000000000000000000000000000000000000000000001" = "model.zip" }
  }

  expect_failures = [var.archives]
}

run "an_unknown_data_bucket_mode_is_refused" {
  command = plan

  variables {
    data_bucket = { mode = "shared", name = "photos" }
  }

  expect_failures = [var.data_bucket]
}

run "an_existing_data_bucket_needs_a_name" {
  command = plan

  variables {
    data_bucket = { mode = "existing" }
  }

  expect_failures = [var.data_bucket]
}

run "a_data_bucket_name_that_s3_refuses_is_refused" {
  command = plan

  variables {
    data_bucket = { name = "Photos" }
  }

  expect_failures = [var.data_bucket]
}

run "a_data_bucket_of_another_account_needs_its_number" {
  command = plan

  variables {
    data_bucket = { mode = "external", name = "photos", account_id = "2109" }
  }

  expect_failures = [var.data_bucket]
}

run "a_data_bucket_of_ours_takes_no_account" {
  command = plan

  variables {
    data_bucket = { account_id = "210987654321" }
  }

  expect_failures = [var.data_bucket]
}

run "a_key_prefix_that_is_a_pattern_is_refused" {
  command = plan

  variables {
    data_bucket = { key_prefix = "dog*/" }
  }

  expect_failures = [var.data_bucket]
}

run "an_alias_for_the_datas_key_is_refused" {
  command = plan

  variables {
    data_bucket = { kms_key_arn = "arn:aws:kms:eu-west-1:210987654321:alias/photos" }
  }

  expect_failures = [var.data_bucket]
}

run "a_reader_whose_name_makes_no_statement_is_refused" {
  command = plan

  variables {
    data_reader_role_arns = { "training-job" = "arn:aws:iam::123456789012:role/training" }
  }

  expect_failures = [var.data_reader_role_arns]
}

run "a_reader_that_is_no_role_is_refused" {
  command = plan

  variables {
    data_reader_role_arns = { training = "arn:aws:iam::123456789012:user/me" }
  }

  expect_failures = [var.data_reader_role_arns]
}

run "an_artifact_key_by_alias_is_refused" {
  command = plan

  variables {
    artifacts = { kms_key_arn = "arn:aws:kms:us-east-1:123456789012:alias/kennel" }
  }

  expect_failures = [var.artifacts]
}

run "scratch_among_the_captures_is_refused" {
  command = plan

  variables {
    artifacts = { scratch_prefix = "captures/" }
  }

  expect_failures = [var.artifacts]
}
