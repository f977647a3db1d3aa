resource "aws_cloudwatch_log_group" "function" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.lambda.log_retention_days
}

resource "aws_lambda_function" "this" {
  function_name = var.name
  description   = "Fetches a picture, asks the endpoint ${var.endpoint.name} and answers in the caller's form."
  role          = var.role_arn
  handler       = "handler.lambda_handler"
  runtime       = var.lambda.runtime
  architectures = [var.lambda.architecture]
  memory_size   = var.lambda.memory_mb
  timeout       = var.lambda.timeout_seconds

  filename = var.lambda.package
  # Null keeps what is deployed: a destroy must not need the zip. The precondition speaks up where it is needed.
  source_code_hash = fileexists(var.lambda.package) ? filebase64sha256(var.lambda.package) : null
  publish          = true

  reserved_concurrent_executions = var.lambda.reserved_concurrency

  environment {
    variables = merge({
      ENDPOINT_NAME         = var.endpoint.name
      ALLOWED_ENDPOINTS     = var.endpoint.name
      ENDPOINT_ALIASES      = jsonencode({ for alias in var.endpoint.aliases : alias => var.endpoint.name })
      FETCH_ALLOW_HTTP      = tostring(var.lambda.fetch.allow_http)
      FETCH_ALLOW_LOOPBACK  = tostring(var.lambda.fetch.allow_loopback)
      FETCH_MAX_BYTES       = tostring(var.lambda.fetch.max_bytes)
      FETCH_TIMEOUT_SECONDS = tostring(var.lambda.fetch.timeout_seconds)
      LOG_LEVEL             = var.lambda.log_level
      STAGE                 = var.stage
    }, { for component in var.endpoint.inference_component[*] : "KENNEL_INFERENCE_COMPONENT" => component })
  }

  tracing_config {
    mode = var.lambda.tracing ? "Active" : "PassThrough"
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
      condition     = fileexists(var.lambda.package)
      error_message = "The function's package ${var.lambda.package} must exist; `./inv plan` builds it."
    }
  }

  # Without it a call that comes early makes Lambda create the group itself, without retention, and creating ours fails.
  depends_on = [aws_cloudwatch_log_group.function]
}

resource "aws_lambda_alias" "live" {
  name             = var.alias
  description      = "What callers use: the version that the last apply published."
  function_name    = aws_lambda_function.this.function_name
  function_version = aws_lambda_function.this.version
}

resource "aws_lambda_provisioned_concurrency_config" "live" {
  count = var.lambda.provisioned_concurrency == null ? 0 : 1

  function_name                     = aws_lambda_alias.live.function_name
  qualifier                         = aws_lambda_alias.live.name
  provisioned_concurrent_executions = var.lambda.provisioned_concurrency
}

resource "aws_lambda_function_event_invoke_config" "live" {
  count = var.lambda.asynchronous == null ? 0 : 1

  function_name                = aws_lambda_alias.live.function_name
  qualifier                    = aws_lambda_alias.live.name
  maximum_retry_attempts       = var.lambda.asynchronous.retries
  maximum_event_age_in_seconds = var.lambda.asynchronous.max_event_age_seconds

  dynamic "destination_config" {
    for_each = var.lambda.asynchronous.on_failure_arn[*]
    content {
      on_failure {
        destination = destination_config.value
      }
    }
  }
}

resource "aws_lambda_function_url" "live" {
  count = var.lambda.url ? 1 : 0

  function_name      = aws_lambda_alias.live.function_name
  qualifier          = aws_lambda_alias.live.name
  authorization_type = "AWS_IAM" # NONE would let anybody spend our money
}
