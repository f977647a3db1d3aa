locals {
  thresholds = var.observability.endpoint_alarms

  lambda_dimensions = {
    FunctionName = var.lambda.function_name
    Resource     = "${var.lambda.function_name}:${var.lambda.alias}"
  }
  endpoint_dimensions = var.endpoint == null ? {} : {
    EndpointName = var.endpoint.name
    VariantName  = var.endpoint.variant
  }

  # These undo an endpoint update; the others only tell somebody.
  rollback_alarms = {
    endpoint-server-errors = {
      description = "The endpoint answers with server errors."
      namespace   = "AWS/SageMaker"
      metric      = "Invocation5XXErrors"
      statistic   = "Sum"
      threshold   = local.thresholds.server_errors
    }
    endpoint-model-errors = {
      description = "The model's containers answer with server errors, or not at all."
      namespace   = "AWS/SageMaker"
      metric      = "InvocationModelErrors"
      less        = "Invocation4XXErrors" # the metric counts every answer but 2XX, and a caller's bad picture is no fault of the model's
      statistic   = "Sum"
      threshold   = local.thresholds.model_errors
    }
    endpoint-latency = {
      description = "One answer in a hundred takes the model too long."
      namespace   = "AWS/SageMaker"
      metric      = "ModelLatency"
      statistic   = "p99"
      threshold   = local.thresholds.latency_p99_ms * 1000 # the metric is in microseconds
    }
  }

  resource_alarms = {
    for name, alarm in {
      endpoint-cpu = {
        description = "The instances are short of CPU."
        namespace   = "/aws/sagemaker/Endpoints"
        metric      = "CPUUtilization"
        statistic   = "Average"
        threshold   = local.thresholds.cpu_percent
      }
      endpoint-memory = {
        description = "The instances are short of memory."
        namespace   = "/aws/sagemaker/Endpoints"
        metric      = "MemoryUtilization"
        statistic   = "Average"
        threshold   = local.thresholds.memory_percent
      }
    } : name => alarm if alarm.threshold != null
  }

  endpoint_alarms = {
    for name, alarm in merge(local.rollback_alarms, local.resource_alarms) :
    name => merge(alarm, { dimensions = local.endpoint_dimensions, minutes = local.thresholds.evaluation_minutes })
    if var.endpoint != null
  }

  lambda_alarms = merge(local.function_alarms, {
    for name, alarm in local.url_alarms : name => alarm if var.lambda.url
  })

  function_alarms = {
    lambda-errors = {
      description = "The function fails: the endpoint does not answer, or the handler has a fault."
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      statistic   = "Sum"
      threshold   = var.observability.lambda_alarms.errors
      dimensions  = local.lambda_dimensions
      minutes     = 1
    }
    lambda-throttles = {
      description = "Calls are turned away: the reserved concurrency, or the account's, is used up."
      namespace   = "AWS/Lambda"
      metric      = "Throttles"
      statistic   = "Sum"
      threshold   = var.observability.lambda_alarms.throttles
      dimensions  = local.lambda_dimensions
      minutes     = 1
    }
  }

  # To a call over the URL the handler answers with the status, and raises nothing that would count as an error.
  url_alarms = {
    lambda-url-errors = {
      description = "Calls over the function's URL are answered with server errors."
      namespace   = "AWS/Lambda"
      metric      = "Url5xxCount"
      statistic   = "Sum"
      threshold   = var.observability.lambda_alarms.errors
      dimensions  = { FunctionName = var.lambda.function_name }
      minutes     = 1
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = { for name, alarm in merge(local.endpoint_alarms, local.lambda_alarms) : name => merge({ less = null }, alarm) }

  alarm_name          = "${var.prefix}-${each.key}"
  alarm_description   = each.value.description
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  evaluation_periods  = each.value.minutes

  # One metric, or the difference of two.
  namespace          = each.value.less == null ? each.value.namespace : null
  metric_name        = each.value.less == null ? each.value.metric : null
  dimensions         = each.value.less == null ? each.value.dimensions : null
  period             = each.value.less == null ? 60 : null
  statistic          = each.value.less == null && !startswith(each.value.statistic, "p") ? each.value.statistic : null
  extended_statistic = each.value.less == null && startswith(each.value.statistic, "p") ? each.value.statistic : null

  dynamic "metric_query" {
    for_each = each.value.less == null ? {} : { all = each.value.metric, less = each.value.less }
    content {
      id = metric_query.key
      metric {
        namespace   = each.value.namespace
        metric_name = metric_query.value
        dimensions  = each.value.dimensions
        stat        = each.value.statistic
        period      = 60
      }
    }
  }
  dynamic "metric_query" {
    for_each = each.value.less == null ? [] : ["all - FILL(less, 0)"]
    content {
      id          = "difference"
      expression  = metric_query.value
      label       = "${each.value.metric} less ${each.value.less}"
      return_data = true
    }
  }

  # No requests, no datapoints: quiet is not a fault, and must not hold up or roll back an update.
  treat_missing_data = "notBreaching"
  alarm_actions      = aws_sns_topic.alarms[*].arn
  ok_actions         = aws_sns_topic.alarms[*].arn
}
