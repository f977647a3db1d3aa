mock_provider "aws" {}

variables {
  name     = "kennel-dev-classify"
  stage    = "dev"
  role_arn = "arn:aws:iam::123456789012:role/kennel-dev-lambda"
  endpoint = { name = "kennel-dev", aliases = ["p4-dog-breed-classification"] }
  lambda   = { package = "tests/package.zip" }
}

run "deploys_the_package_by_its_digest_and_publishes_it" {
  command = plan

  assert {
    condition = (
      aws_lambda_function.this.filename == "tests/package.zip"
      && aws_lambda_function.this.source_code_hash == filebase64sha256("tests/package.zip")
      && aws_lambda_function.this.publish
      && aws_lambda_function.this.handler == "handler.lambda_handler"
    )
    error_message = "The package must be deployed, addressed by its digest, as a version."
  }
}

run "points_the_alias_live_to_the_published_version" {
  command = plan

  override_resource {
    target          = aws_lambda_function.this
    override_during = plan
    values          = { version = "7" }
  }

  assert {
    condition     = aws_lambda_alias.live.name == "live" && aws_lambda_alias.live.function_version == "7" && output.version == "7"
    error_message = "The alias must follow the version."
  }
}

run "tells_the_handler_its_endpoint_and_the_names_that_old_callers_send" {
  command = plan

  assert {
    condition = aws_lambda_function.this.environment[0].variables == tomap({
      ENDPOINT_NAME         = "kennel-dev"
      ALLOWED_ENDPOINTS     = "kennel-dev"
      ENDPOINT_ALIASES      = "{\"p4-dog-breed-classification\":\"kennel-dev\"}"
      FETCH_ALLOW_HTTP      = "false"
      FETCH_ALLOW_LOOPBACK  = "false"
      FETCH_MAX_BYTES       = "5242880"
      FETCH_TIMEOUT_SECONDS = "10"
      LOG_LEVEL             = "INFO"
      STAGE                 = "dev"
    })
    error_message = "The environment must be exactly what the handler reads; got ${jsonencode(aws_lambda_function.this.environment[0].variables)}."
  }
}

run "lets_the_local_stage_fetch_from_this_machine" {
  command = plan

  variables {
    stage  = "local"
    lambda = { package = "tests/package.zip", fetch = { allow_http = true, allow_loopback = true } }
  }

  assert {
    condition = (
      aws_lambda_function.this.environment[0].variables["FETCH_ALLOW_HTTP"] == "true"
      && aws_lambda_function.this.environment[0].variables["FETCH_ALLOW_LOOPBACK"] == "true"
    )
    error_message = "The local stage must be able to loosen what is fetched."
  }
}

run "reserves_fifty_by_default_and_keeps_none_warm" {
  command = plan

  assert {
    condition     = aws_lambda_function.this.reserved_concurrent_executions == 50 && length(aws_lambda_provisioned_concurrency_config.live) == 0
    error_message = "Fifty must be reserved and none provisioned."
  }
}

run "reserves_none_by_choice" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", reserved_concurrency = -1 }
  }

  assert {
    condition     = aws_lambda_function.this.reserved_concurrent_executions == -1
    error_message = "-1 must leave the account's concurrency to the function."
  }
}

run "keeps_some_warm_behind_the_alias_by_choice" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", provisioned_concurrency = 50 }
  }

  assert {
    condition     = aws_lambda_provisioned_concurrency_config.live[0].qualifier == "live" && aws_lambda_provisioned_concurrency_config.live[0].provisioned_concurrent_executions == 50
    error_message = "All of the reserved ones may be kept warm, behind the alias."
  }
}

run "has_no_url_unless_asked" {
  command = plan

  assert {
    condition     = length(aws_lambda_function_url.live) == 0 && output.url == null
    error_message = "Without url = true there must be no URL."
  }
}

run "opens_its_url_to_signed_calls_only" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", url = true }
  }

  assert {
    condition     = aws_lambda_function_url.live[0].authorization_type == "AWS_IAM" && aws_lambda_function_url.live[0].qualifier == "live"
    error_message = "The URL must be IAM-authorized, and the alias's."
  }
}

run "keeps_its_logs_for_a_month" {
  command = plan

  assert {
    condition     = output.log_group.name == "/aws/lambda/kennel-dev-classify" && aws_cloudwatch_log_group.function.retention_in_days == 30
    error_message = "The group must be the function's own, with a retention."
  }
}

run "stays_outside_any_vpc_and_untraced_by_default" {
  command = plan

  assert {
    condition     = length(aws_lambda_function.this.vpc_config) == 0 && aws_lambda_function.this.tracing_config[0].mode == "PassThrough"
    error_message = "Neither a VPC nor tracing may be there unless asked for."
  }
}

run "goes_into_a_vpc_and_is_traced_by_choice" {
  command = plan

  variables {
    lambda = { package = "tests/package.zip", tracing = true }
    vpc    = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
  }

  assert {
    condition     = aws_lambda_function.this.vpc_config[0].subnet_ids == toset(["subnet-1"]) && aws_lambda_function.this.tracing_config[0].mode == "Active"
    error_message = "The function must be attached and traced."
  }
}

run "sends_failed_asynchronous_calls_to_the_queue_by_choice" {
  command = plan

  variables {
    lambda = {
      package      = "tests/package.zip"
      asynchronous = { on_failure_arn = "arn:aws:sqs:us-east-1:123456789012:failed", retries = 0 }
    }
  }

  assert {
    condition = (
      aws_lambda_function_event_invoke_config.live[0].qualifier == "live"
      && aws_lambda_function_event_invoke_config.live[0].maximum_retry_attempts == 0
      && aws_lambda_function_event_invoke_config.live[0].destination_config[0].on_failure[0].destination == "arn:aws:sqs:us-east-1:123456789012:failed"
    )
    error_message = "Failed calls must go to the queue, without a retry."
  }
}

run "says_so_when_the_package_is_missing" {
  command = plan

  variables {
    lambda = { package = "tests/missing.zip" }
  }

  expect_failures = [aws_lambda_function.this]
}
