mock_provider "aws" {
  override_during = plan

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_region" {
    defaults = { name = "us-east-1" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_cloudwatch_metric_alarm" {
    defaults = { arn = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:kennel-dev" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:us-east-1:123456789012:kennel-dev-alarms" }
  }
}

variables {
  prefix        = "kennel-dev"
  endpoint      = { name = "kennel-dev", variant = "primary" }
  lambda        = { function_name = "kennel-dev-classify", alias = "live" }
  max_instances = 4
}

run "watches_the_endpoint_and_the_function" {
  command = plan

  assert {
    condition = toset(keys(output.alarm_names)) == toset([
      "endpoint-server-errors", "endpoint-model-errors", "endpoint-latency", "lambda-errors", "lambda-throttles",
    ])
    error_message = "These five alarms must be there by default; got ${jsonencode(keys(output.alarm_names))}."
  }
}

run "rolls_back_on_errors_and_latency_of_the_endpoint_only" {
  command = plan

  variables {
    observability = { endpoint_alarms = { cpu_percent = 90, memory_percent = 85 } }
  }

  assert {
    condition = output.rollback_alarm_names == toset([
      "kennel-dev-endpoint-server-errors", "kennel-dev-endpoint-model-errors", "kennel-dev-endpoint-latency",
    ])
    error_message = "A busy instance or the function's errors are no reason to undo an update."
  }
}

run "names_the_variant_in_the_endpoint_alarms" {
  command = plan

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.this["endpoint-server-errors"].dimensions == tomap({ EndpointName = "kennel-dev", VariantName = "primary" })
      && aws_cloudwatch_metric_alarm.this["endpoint-server-errors"].namespace == "AWS/SageMaker"
      && aws_cloudwatch_metric_alarm.this["endpoint-server-errors"].metric_name == "Invocation5XXErrors"
    )
    error_message = "The alarm must look at this variant's 5XX answers."
  }
}

run "measures_the_99th_percentile_of_the_latency_in_microseconds" {
  command = plan

  variables {
    observability = { endpoint_alarms = { latency_p99_ms = 250 } }
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.this["endpoint-latency"].extended_statistic == "p99"
      && aws_cloudwatch_metric_alarm.this["endpoint-latency"].threshold == 250000
    )
    error_message = "250 ms must become 250000 µs at p99."
  }
}

run "names_the_alias_in_the_alarms_of_the_function" {
  command = plan

  assert {
    condition = aws_cloudwatch_metric_alarm.this["lambda-throttles"].dimensions == tomap({
      FunctionName = "kennel-dev-classify", Resource = "kennel-dev-classify:live",
    })
    error_message = "The alarm must look at the alias."
  }
}

run "takes_quiet_for_health" {
  command = plan

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.treat_missing_data == "notBreaching"])
    error_message = "No data must not raise an alarm."
  }
}

run "watches_cpu_and_memory_by_choice" {
  command = plan

  variables {
    observability = { endpoint_alarms = { cpu_percent = 150 } }
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["endpoint-cpu"].threshold == 150 && !contains(keys(output.alarm_names), "endpoint-memory")
    error_message = "Only the alarm with a threshold may be there."
  }
}

run "watches_only_the_function_without_an_endpoint" {
  command = plan

  variables {
    endpoint = null
  }

  assert {
    condition     = toset(keys(output.alarm_names)) == toset(["lambda-errors", "lambda-throttles"]) && length(output.rollback_alarm_names) == 0
    error_message = "Without an endpoint there is nothing to watch there."
  }
  assert {
    condition     = length([for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : widget if widget.type == "metric"]) == 2
    error_message = "The dashboard must show the function's two graphs."
  }
}

run "draws_a_dashboard_of_endpoint_and_function" {
  command = plan

  assert {
    condition     = output.dashboard_name == "kennel-dev" && length(jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets) == 8
    error_message = "One widget of alarms, five graphs of the endpoint and two of the function must be there."
  }
  assert {
    condition = anytrue([for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets :
      try(widget.properties.annotations.horizontal[0], null) == { label = "scaling limit", value = 4 }
    ])
    error_message = "The scaling limit must be drawn."
  }
}

run "draws_no_dashboard_by_choice" {
  command = plan

  variables {
    observability = { dashboard = false }
  }

  assert {
    condition     = length(aws_cloudwatch_dashboard.this) == 0 && output.dashboard_name == null
    error_message = "The dashboard must be gone."
  }
}

run "tells_nobody_by_default" {
  command = plan

  assert {
    condition     = output.topic_arn == null && alltrue([for alarm in aws_cloudwatch_metric_alarm.this : length(alarm.alarm_actions) == 0])
    error_message = "Without notifications there must be no topic and no action."
  }
}

run "tells_the_topic_and_its_subscribers_by_choice" {
  command = plan

  variables {
    observability = { notifications = { emails = ["ops@example.com"] } }
  }

  assert {
    condition = (
      alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == toset([aws_sns_topic.alarms[0].arn])])
      && aws_sns_topic_subscription.emails["ops@example.com"].protocol == "email"
      && aws_sns_topic_policy.alarms[0].arn == output.topic_arn
    )
    error_message = "Every alarm must go to the topic, and the topic to the address."
  }
}

run "does_not_hold_a_callers_mistakes_against_the_model" {
  command = plan

  assert {
    condition = { for query in aws_cloudwatch_metric_alarm.this["endpoint-model-errors"].metric_query : query.id => query.expression == null ? one(query.metric).metric_name : query.expression } == {
      all = "InvocationModelErrors", less = "Invocation4XXErrors", difference = "all - FILL(less, 0)"
    }
    error_message = "Answers with 4XX must not undo an update."
  }
  assert {
    condition = alltrue([for query in aws_cloudwatch_metric_alarm.this["endpoint-model-errors"].metric_query : query.expression != null ? query.return_data : (
      one(query.metric).dimensions == tomap({ EndpointName = "kennel-dev", VariantName = "primary" }) && one(query.metric).stat == "Sum" && one(query.metric).period == 60
    )])
    error_message = "The difference must be that of this variant's sums."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["endpoint-model-errors"].metric_name == null && aws_cloudwatch_metric_alarm.this["endpoint-model-errors"].threshold == 5
    error_message = "The alarm must look at the difference."
  }
}

run "watches_the_url_where_there_is_one" {
  command = plan

  variables {
    lambda = { function_name = "kennel-dev-classify", alias = "live", url = true }
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["lambda-url-errors"].metric_name == "Url5xxCount" && aws_cloudwatch_metric_alarm.this["lambda-url-errors"].dimensions == tomap({ FunctionName = "kennel-dev-classify" })
    error_message = "The handler's answers with server errors must be seen."
  }
}

run "does_not_roll_back_on_the_url" {
  command = plan

  variables {
    lambda = { function_name = "kennel-dev-classify", alias = "live", url = true }
  }

  assert {
    condition     = !contains(output.rollback_alarm_names, "kennel-dev-lambda-url-errors")
    error_message = "The function is no reason to undo an update of the endpoint."
  }
}
