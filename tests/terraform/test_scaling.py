"""Every kind of scaling that Terraform's provider knows, applied to an endpoint of the embedded cloud."""

from __future__ import annotations

import pytest

from tests.terraform.roots import BesideEndpoint

pytestmark = [pytest.mark.cloud, pytest.mark.terraform, pytest.mark.slow, pytest.mark.long]

VARIANT = """
  service_namespace  = aws_appautoscaling_target.variant.service_namespace
  scalable_dimension = aws_appautoscaling_target.variant.scalable_dimension
  resource_id        = aws_appautoscaling_target.variant.resource_id
"""
MAIN = f"""
terraform {{
  required_providers {{
    aws = {{ source = "hashicorp/aws" }}
  }}
}}

variable "endpoint" {{}}

variable "target" {{
  default = 100
}}

resource "aws_appautoscaling_target" "variant" {{
  service_namespace  = "sagemaker"
  scalable_dimension = "sagemaker:variant:DesiredInstanceCount"
  resource_id        = "endpoint/${{var.endpoint}}/variant/main"
  min_capacity       = 1
  max_capacity       = 2
}}

resource "aws_appautoscaling_policy" "tracking" {{
  name        = "tracking"
  policy_type = "TargetTrackingScaling"
  {VARIANT}
  target_tracking_scaling_policy_configuration {{
    target_value      = var.target
    scale_in_cooldown = 10

    predefined_metric_specification {{
      predefined_metric_type = "SageMakerVariantInvocationsPerInstance"
    }}
  }}
}}

resource "aws_appautoscaling_policy" "processors" {{
  name        = "processors"
  policy_type = "TargetTrackingScaling"
  {VARIANT}
  target_tracking_scaling_policy_configuration {{
    target_value = 70

    customized_metric_specification {{
      namespace   = "/aws/sagemaker/Endpoints"
      metric_name = "CPUUtilization"
      statistic   = "Average"

      dimensions {{
        name  = "EndpointName"
        value = var.endpoint
      }}
      dimensions {{
        name  = "VariantName"
        value = "main"
      }}
    }}
  }}
}}

resource "aws_appautoscaling_policy" "steps" {{
  name        = "steps"
  policy_type = "StepScaling"
  {VARIANT}
  step_scaling_policy_configuration {{
    adjustment_type         = "ChangeInCapacity"
    cooldown                = 60
    metric_aggregation_type = "Maximum"

    step_adjustment {{
      metric_interval_lower_bound = 0
      metric_interval_upper_bound = 5
      scaling_adjustment          = 1
    }}
    step_adjustment {{
      metric_interval_lower_bound = 5
      scaling_adjustment          = 2
    }}
  }}
}}

resource "aws_cloudwatch_metric_alarm" "errors" {{
  alarm_name          = "errors"
  namespace           = "AWS/SageMaker"
  metric_name         = "Invocation5XXErrors"
  dimensions          = {{ EndpointName = var.endpoint, VariantName = "main" }}
  comparison_operator = "GreaterThanThreshold"
  threshold           = 5
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  period              = 60
  statistic           = "Sum"
  alarm_actions       = [aws_appautoscaling_policy.steps.arn]
}}

resource "aws_cloudwatch_composite_alarm" "any" {{
  alarm_name = "any"
  alarm_rule = "ALARM(${{aws_cloudwatch_metric_alarm.errors.alarm_name}})"
}}

resource "aws_appautoscaling_scheduled_action" "christmas" {{
  name     = "christmas"
  schedule = "cron(0 8 25 12 ? *)"
  timezone = "Europe/Berlin"
  {VARIANT}
  scalable_target_action {{
    min_capacity = 2
    max_capacity = 2
  }}
}}
"""


def test_scaling_of_every_kind_applies_settles_changes_and_goes(
    beside_endpoint: BesideEndpoint,
) -> None:
    root, endpoint = beside_endpoint(MAIN)
    cloudwatch = root.client("cloudwatch")

    def alarms() -> list[str]:
        return [one["AlarmName"] for one in cloudwatch.describe_alarms()["MetricAlarms"]]

    root.terraform("apply", "-auto-approve")
    root.terraform("plan", "-detailed-exitcode")
    prefix = f"TargetTracking-endpoint/{endpoint}/variant/main-Alarm"
    of_tracking = [name for name in alarms() if name.startswith(prefix)]
    assert len(of_tracking) == 4
    root.terraform("apply", "-auto-approve", "-var=target=70")
    root.terraform("plan", "-detailed-exitcode", "-var=target=70")
    thresholds = [one["Threshold"] for one in cloudwatch.describe_alarms()["MetricAlarms"]]
    assert sorted(thresholds) == [5, 63, 63, 70, 70]
    root.terraform("destroy", "-auto-approve")
    assert alarms() == []
