"""The autoscaling module with all that is off by default: applied to an endpoint, planned again, changed, destroyed."""

from __future__ import annotations

import pytest

from ops.paths import TERRAFORM
from tests.terraform.roots import BesideEndpoint

pytestmark = [pytest.mark.long, pytest.mark.cloud, pytest.mark.terraform]

MODULE = TERRAFORM / "modules" / "autoscaling"
MAIN = f"""
variable "endpoint" {{}}

variable "instance_type" {{ default = "ml.m5.large" }}

module "autoscaling" {{
  source        = "{MODULE}"
  endpoint      = {{ name = var.endpoint, variant = "main" }}
  instance_type = var.instance_type
  autoscaling = {{
    policy = "step"
    step = {{
      scale_out = {{ threshold = 100, steps = [{{ above = 0, add = 1 }}, {{ above = 100, add = 3 }}] }}
      scale_in  = {{ threshold = 50 }}
    }}
    scheduled = {{
      morning = {{ schedule = "cron(0 8 ? * MON-FRI *)", timezone = "Europe/Berlin", min_instances = 3 }}
    }}
  }}
}}
"""


def test_steps_and_schedules_apply_settle_and_go(beside_endpoint: BesideEndpoint) -> None:
    root, endpoint = beside_endpoint(MAIN)
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/main",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    root.terraform("apply", "-auto-approve")
    root.terraform("plan", "-detailed-exitcode")

    scaling = root.client("application-autoscaling")
    scaling.register_scalable_target(**target, MinCapacity=3)  # as the scheduled action does in the morning
    root.terraform("plan", "-detailed-exitcode")

    # As the task `apply` does it, since SageMaker refuses another type for a variant that is registered. Its policies
    # and schedules go with the target, and come back with it.
    plan = root.terraform("plan", "-out=saved", "-var=instance_type=ml.c5.large")
    # Replaced: the type, the target, two policies, the schedule. Changed: the alarms, which name the policies.
    assert "Plan: 5 to add, 2 to change, 5 to destroy." in plan
    scaling.deregister_scalable_target(**target)
    root.terraform("apply", "saved")
    names = {
        policy["PolicyName"]
        for policy in scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    }
    assert names == {f"{endpoint}-scale-out", f"{endpoint}-scale-in"}
    actions = scaling.describe_scheduled_actions(ServiceNamespace="sagemaker")["ScheduledActions"]
    assert [action["ScheduledActionName"] for action in actions] == [f"{endpoint}-morning"]
    root.terraform("plan", "-detailed-exitcode", "-var=instance_type=ml.c5.large")

    root.terraform("destroy", "-auto-approve")
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    alarms = root.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{endpoint}-scale")
    assert alarms["MetricAlarms"] == []
