from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from localcloud.scaling import (
    FAST_METRIC,
    MINUTE_METRIC,
    Alarm,
    Limits,
    ScheduledAction,
    Step,
    StepScaling,
    TargetTracking,
)
from ml.errors import KennelError
from ops.paths import TERRAFORM
from ops.simulate.declared import of_plan, of_variables

STEP_PLAN = json.loads(Path(__file__).with_name("step_plan.json").read_text())  # what terraform show printed
TRACKING_PLAN: dict[str, Any] = {
    "planned_values": {
        "root_module": {
            "resources": [
                {
                    "address": "aws_appautoscaling_target.other", "type": "aws_appautoscaling_target", "name": "other",
                    "values": {"service_namespace": "ecs", "min_capacity": 1, "max_capacity": 9},
                },
                {
                    "address": "aws_appautoscaling_target.a", "type": "aws_appautoscaling_target", "name": "a",
                    "values": {"service_namespace": "sagemaker", "min_capacity": 2, "max_capacity": 5},
                },
                {
                    "address": "aws_appautoscaling_policy.a", "type": "aws_appautoscaling_policy", "name": "a",
                    "values": {
                        "name": "hold",
                        "target_tracking_scaling_policy_configuration": [
                            {
                                "target_value": 3.5, "scale_in_cooldown": None, "scale_out_cooldown": 10,
                                "disable_scale_in": True,
                                "predefined_metric_specification": [{"predefined_metric_type": FAST_METRIC}],
                            }
                        ],
                    },
                },
            ]
        }
    }
}  # fmt: skip


def test_target_tracking_is_read_from_a_plan_with_the_defaults_of_aws() -> None:
    found = of_plan(TRACKING_PLAN, "a plan")
    assert found is not None
    assert (found.limits, found.initial, found.source) == (Limits(2, 5), 2, "a plan")
    assert found.policies == (TargetTracking("hold", 3.5, FAST_METRIC, 10, 300, scales_in=False),)


def test_steps_alarms_and_schedules_are_read_from_a_plan() -> None:
    found = of_plan(STEP_PLAN, "a plan")
    assert found is not None
    high = Alarm(
        "kennel-local-scale-out", MINUTE_METRIC, "GreaterThanThreshold", 600, 60, 1, 1, "notBreaching", "Sum"
    )
    low = Alarm(
        "kennel-local-scale-in", MINUTE_METRIC, "LessThanThreshold", 300, 60, 15, 15, "breaching", "Sum"
    )
    assert set(found.policies) == {
        StepScaling("kennel-local-scale-out", (high,), (Step(1, 0, 400), Step(3, 400, None)), cooldown=10),
        StepScaling("kennel-local-scale-in", (low,), (Step(-1, None, 0),), cooldown=10),
    }
    assert set(found.scheduled) == {
        ScheduledAction("kennel-local-morning", "cron(0 8 ? * MON-FRI *)", minimum=2),
        ScheduledAction(
            "kennel-local-evening", "cron(0 20 ? * MON-FRI *)", minimum=1, timezone="Europe/Berlin"
        ),
    }
    assert (found.limits, found.initial, found.instance_type) == (Limits(1, 6), 1, "ml.m5.large")


def test_an_alarm_whose_action_is_known_belongs_to_the_policy_that_it_names() -> None:
    plan = copy.deepcopy(STEP_PLAN)
    plan.pop("configuration")
    [module] = [
        each
        for each in plan["planned_values"]["root_module"]["child_modules"]
        if each["address"] == "module.autoscaling[0]"
    ]
    alarm = next(each for each in module["resources"] if each["address"].endswith('alarm.step["out"]'))
    assert of_plan(plan, "").policies[1].alarms == ()  # type: ignore[union-attr]
    prefix = (
        "arn:aws:autoscaling:us-east-1:123456789012:scalingPolicy:1:resource/sagemaker/endpoint/e/variant/v"
    )
    alarm["values"]["alarm_actions"] = [f"{prefix}:policyName/kennel-local-scale-out"]
    found = of_plan(plan, "")
    assert found is not None
    assert {policy.name: len(policy.alarms) for policy in found.policies if isinstance(policy, StepScaling)} == {
        "kennel-local-scale-out": 1, "kennel-local-scale-in": 0,
    }  # fmt: skip


def test_a_plan_that_scales_nothing_gives_nothing() -> None:
    assert of_plan({"planned_values": {"root_module": {}}}, "") is None
    assert of_plan({}, "") is None


def test_what_the_simulation_does_not_know_is_refused_by_name() -> None:
    plan = copy.deepcopy(TRACKING_PLAN)
    policy = plan["planned_values"]["root_module"]["resources"][2]["values"]
    policy["target_tracking_scaling_policy_configuration"][0]["predefined_metric_specification"] = []
    with pytest.raises(KennelError, match=r"The policy hold tracks a metric that the simulation knows"):
        of_plan(plan, "")
    two = copy.deepcopy(TRACKING_PLAN)
    resources = two["planned_values"]["root_module"]["resources"]
    resources.append(resources[1] | {"address": "aws_appautoscaling_target.b"})
    with pytest.raises(
        KennelError, match=r"of one scalable target.*\nReceived: aws_appautoscaling_target.a, "
    ):
        of_plan(two, "")


@pytest.mark.parametrize(("stage", "limits"), [("local", (1, 4)), ("dev", (1, 2)), ("prod", (2, 4))])
def test_the_variables_of_a_stage_declare_what_its_plan_would(stage: str, limits: tuple[int, int]) -> None:
    found = of_variables(TERRAFORM / "stages" / f"{stage}.tfvars", "the variables")
    assert found.limits == Limits(*limits)
    assert found.policies == (TargetTracking("target-tracking", 100, MINUTE_METRIC, 10, 10),)
    assert found.instance_type == "ml.m5.large"


def test_scaling_to_zero_has_defaults_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "s.tfvars").write_text("autoscaling = { scale_to_zero = true, min_instances = 0 }")
    found = of_variables(tmp_path / "s.tfvars", "the variables")
    assert found.limits == Limits(0, 4)
    assert found.policies == (TargetTracking("target-tracking", 5, FAST_METRIC, 300, 300),)


def test_steps_and_schedules_are_read_from_variables(tmp_path: Path) -> None:
    (tmp_path / "s.tfvars").write_text("""
        autoscaling = {
          max_instances = 6
          policy        = "step"
          step = {
            scale_out = { threshold = 600, periods = 1, steps = [{ above = 0, add = 1 }, { above = 400, add = 3 }] }
            scale_in  = { threshold = 300 }
          }
          scheduled = { morning = { schedule = "cron(0 8 ? * MON-FRI *)", min_instances = 2 } }
        }
    """)
    found, planned = of_variables(tmp_path / "s.tfvars", ""), of_plan(STEP_PLAN, "")
    assert planned is not None
    steps = {policy.steps: policy for policy in planned.policies if isinstance(policy, StepScaling)}
    for policy in found.policies:
        assert isinstance(policy, StepScaling)
        same = steps[policy.steps]
        assert [vars(alarm) | {"name": "", "statistic": ""} for alarm in policy.alarms] == [
            vars(alarm) | {"name": "", "statistic": ""} for alarm in same.alarms
        ]
        assert policy.cooldown == same.cooldown
    assert found.scheduled == (ScheduledAction("morning", "cron(0 8 ? * MON-FRI *)", minimum=2),)


def test_a_stage_that_does_not_scale_is_told(tmp_path: Path) -> None:
    (tmp_path / "s.tfvars").write_text("autoscaling = null\n")
    with pytest.raises(KennelError, match="The stage's endpoint scales"):
        of_variables(tmp_path / "s.tfvars", "")
