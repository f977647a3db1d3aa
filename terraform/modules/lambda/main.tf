resource "aws_cloudwatch_log_group" "function" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.function.log_retention_days
}

resource "aws_lambda_function" "this" {
  function_name = var.name
  description   = "Fetches a picture, asks the endpoint ${var.endpoint.name} and answers in the caller's form."
  role          = var.role_arn
  handler       = "handler.lambda_handler"
  runtime       = var.function.runtime
  architectures = [var.function.architecture]
  memory_size   = var.function.memory_mb
  timeout       = var.function.timeout_seconds

  filename = var.function.package
  # Null keeps what is deployed: a destroy must not need the zip. The precondition speaks up where it is needed.
  source_code_hash = fileexists(var.function.package) ? filebase64sha256(var.function.package) : null
  publish          = true

  reserved_concurrent_executions = var.function.reserved_concurrency

  environment {
    variables = {
      ENDPOINT_NAME         = var.endpoint.name
      ALLOWED_ENDPOINTS     = var.endpoint.name
      ENDPOINT_ALIASES      = jsonencode({ for alias in var.endpoint.aliases : alias => var.endpoint.name })
      FETCH_ALLOW_HTTP      = tostring(var.function.fetch.allow_http)
      FETCH_ALLOW_LOOPBACK  = tostring(var.function.fetch.allow_loopback)
      FETCH_MAX_BYTES       = tostring(var.function.fetch.max_bytes)
      FETCH_TIMEOUT_SECONDS = tostring(var.function.fetch.timeout_seconds)
      LOG_LEVEL             = var.function.log_level
      STAGE                 = var.stage
    }
  }

  tracing_config {
    mode = var.function.tracing ? "Active" : "PassThrough"
  }

  dynamic "vpc_config" {
    for_each = var.vpc[*]
    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  lifecycle {
    precondition {
      condition     = fileexists(var.function.package)
      error_message = "The function's package ${var.function.package} must exist; `./inv plan` builds it."
    }
  }

  # Without it a call that comes early makes Lambda create the group itself, without retention, and creating ours fails.
  depends_on = [aws_cloudwatch_log_group.function]
}

resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "What callers use: the version that the last apply published."
  function_name    = aws_lambda_function.this.function_name
  function_version = aws_lambda_function.this.version
}

resource "aws_lambda_provisioned_concurrency_config" "live" {
  count = var.function.provisioned_concurrency == null ? 0 : 1

  function_name                     = aws_lambda_alias.live.function_name
  qualifier                         = aws_lambda_alias.live.name
  provisioned_concurrent_executions = var.function.provisioned_concurrency
}

resource "aws_lambda_function_event_invoke_config" "live" {
  count = var.function.asynchronous == null ? 0 : 1

  function_name                = aws_lambda_alias.live.function_name
  qualifier                    = aws_lambda_alias.live.name
  maximum_retry_attempts       = var.function.asynchronous.retries
  maximum_event_age_in_seconds = var.function.asynchronous.max_event_age_seconds

  dynamic "destination_config" {
    for_each = var.function.asynchronous.on_failure_arn[*]
    content {
      on_failure {
        destination = destination_config.value
      }
    }
  }
}

resource "aws_lambda_function_url" "live" {
  count = var.function.url ? 1 : 0

  function_name      = aws_lambda_alias.live.function_name
  qualifier          = aws_lambda_alias.live.name
  authorization_type = "AWS_IAM" # NONE would let anybody spend our money
}
