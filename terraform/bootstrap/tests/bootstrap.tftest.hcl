mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

# Plans only: what an apply makes here, prevent_destroy would keep the test from removing.

variables {
  stage = "dev"
}

run "each_stage_and_account_has_a_state_bucket_of_its_own" {
  command = plan

  assert {
    condition     = aws_s3_bucket.state.bucket == "kennel-dev-terraform-state-123456789012"
    error_message = "The bucket is not named from prefix, stage and account."
  }

  assert {
    condition     = !aws_s3_bucket.state.force_destroy
    error_message = "A destroy would empty the bucket."
  }
}

run "a_prefix_with_capitals_is_refused" {
  command = plan

  variables {
    prefix = "Kennel"
  }

  expect_failures = [var.prefix]
}

run "an_unknown_stage_is_refused" {
  command = plan

  variables {
    stage = "staging"
  }

  expect_failures = [var.stage]
}

run "a_zone_instead_of_a_region_is_refused" {
  command = plan

  variables {
    region = "us-east-1a"
  }

  expect_failures = [var.region]
}

run "a_tag_that_is_set_already_is_refused" {
  command = plan

  variables {
    tags = { Stage = "prod" }
  }

  expect_failures = [var.tags]
}

run "a_tag_that_aws_keeps_for_itself_is_refused" {
  command = plan

  variables {
    tags = { "aws:owner" = "me" }
  }

  expect_failures = [var.tags]
}

run "a_prefix_that_passes_for_another_stage_is_refused" {
  command = plan

  variables {
    prefix = "kennel-dev"
  }

  expect_failures = [var.prefix]
}

run "without_a_pipeline_there_are_no_roles" {
  command = plan

  assert {
    condition     = length(aws_iam_role.plan) == 0 && length(aws_iam_role.apply) == 0 && length(aws_iam_openid_connect_provider.forge) == 0
    error_message = "Something is made for a pipeline that there is not."
  }
}
