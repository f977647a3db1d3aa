data "aws_region" "current" {}

locals {
  endpoint_metric = var.endpoint == null ? [] : ["EndpointName", var.endpoint.name, "VariantName", var.endpoint.variant]
  lambda_metric   = ["FunctionName", var.lambda.function_name, "Resource", "${var.lambda.function_name}:${var.lambda.alias}"]

  endpoint_graphs = [
    {
      title = "Requests a minute, per instance and in all"
      metrics = [
        concat(["AWS/SageMaker", "InvocationsPerInstance"], local.endpoint_metric, [{ stat = "Sum", label = "per instance" }]),
        concat(["AWS/SageMaker", "Invocations"], local.endpoint_metric, [{ stat = "Sum", label = "in all" }]),
      ]
      limits = []
    },
    {
      title = "Latency in the model and around it, µs"
      metrics = [
        concat(["AWS/SageMaker", "ModelLatency"], local.endpoint_metric, [{ stat = "p50", label = "model, median" }]),
        concat(["AWS/SageMaker", "ModelLatency"], local.endpoint_metric, [{ stat = "p99", label = "model, p99" }]),
        concat(["AWS/SageMaker", "OverheadLatency"], local.endpoint_metric, [{ stat = "p99", label = "overhead, p99" }]),
      ]
      limits = [{ label = "alarm (p99)", value = local.thresholds.latency_p99_ms * 1000 }]
    },
    {
      title = "Errors of the endpoint"
      metrics = [
        concat(["AWS/SageMaker", "Invocation4XXErrors"], local.endpoint_metric, [{ stat = "Sum", label = "callers' (4XX)" }]),
        concat(["AWS/SageMaker", "Invocation5XXErrors"], local.endpoint_metric, [{ stat = "Sum", label = "server's (5XX)" }]),
        concat(["AWS/SageMaker", "InvocationModelErrors"], local.endpoint_metric, [{ stat = "Sum", label = "the model's (4XX, 5XX, none)" }]),
      ]
      limits = [{ label = "alarm (5XX)", value = local.thresholds.server_errors }]
    },
    {
      title = "Instances' use of CPU (100 a core) and memory, %"
      metrics = [
        concat(["/aws/sagemaker/Endpoints", "CPUUtilization"], local.endpoint_metric, [{ stat = "Average", label = "CPU" }]),
        concat(["/aws/sagemaker/Endpoints", "MemoryUtilization"], local.endpoint_metric, [{ stat = "Average", label = "memory" }]),
      ]
      limits = []
    },
    {
      # Every instance reports its CPU once a minute, so that the number of samples is the number of instances.
      title = "Instances"
      metrics = [
        concat(["/aws/sagemaker/Endpoints", "CPUUtilization"], local.endpoint_metric, [{ stat = "SampleCount", label = "instances" }]),
      ]
      limits = var.max_instances == null ? [] : [{ label = "scaling limit", value = var.max_instances }]
    },
  ]

  lambda_graphs = [
    {
      title = "Calls, errors and throttles of the function"
      metrics = [
        for metric in ["Invocations", "Errors", "Throttles"] :
        concat(["AWS/Lambda", metric], local.lambda_metric, [{ stat = "Sum", label = lower(metric) }])
      ]
      limits = []
    },
    {
      title = "Duration of a call, ms, and calls at once"
      metrics = [
        concat(["AWS/Lambda", "Duration"], local.lambda_metric, [{ stat = "p50", label = "median" }]),
        concat(["AWS/Lambda", "Duration"], local.lambda_metric, [{ stat = "p99", label = "p99" }]),
        concat(["AWS/Lambda", "ConcurrentExecutions"], local.lambda_metric, [{ stat = "Maximum", label = "at once", yAxis = "right" }]),
      ]
      limits = []
    },
  ]

  graphs = concat([for graph in local.endpoint_graphs : graph if var.endpoint != null], local.lambda_graphs)
}

resource "aws_cloudwatch_dashboard" "this" {
  count = var.observability.dashboard ? 1 : 0

  dashboard_name = var.prefix
  dashboard_body = jsonencode({
    widgets = concat(
      [{
        type       = "alarm"
        x          = 0
        y          = 0
        width      = 24
        height     = 2
        properties = { title = "Alarms", alarms = [for alarm in aws_cloudwatch_metric_alarm.this : alarm.arn] }
      }],
      [for index, graph in local.graphs : {
        type   = "metric"
        x      = (index % 2) * 12
        y      = 2 + floor(index / 2) * 6
        width  = 12
        height = 6
        properties = {
          title       = graph.title
          region      = data.aws_region.current.name
          view        = "timeSeries"
          period      = 60
          metrics     = graph.metrics
          annotations = { horizontal = graph.limits }
        }
      }],
    )
  })
}
