from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops import scaling

RESOURCE = "endpoint/kennel-dev/variant/primary"


class FakeStage:
    """A stage whose scaling is one target, or none."""

    identity = "account 1"

    def __init__(self, directory: Path, suspended: dict[str, bool] | None, *, exists: bool = True) -> None:
        self.directory = directory
        self.exists = exists
        self.suspended = suspended
        self.limits = (1, 4)
        tracking = {"TargetValue": 100.0}
        self.policies = {
            "track": {
                "PolicyType": "TargetTrackingScaling",
                "TargetTrackingScalingPolicyConfiguration": tracking,
            }
        }
        self.actions = {
            "morning": {"Schedule": "rate(1 day)", "ScalableTargetAction": {"MinCapacity": 2}},
        }

    def client(self, _: str) -> Any:
        return self

    def describe_scalable_targets(self, **_: Any) -> Any:
        least, most = self.limits
        found = {"MinCapacity": least, "MaxCapacity": most, "SuspendedState": self.suspended}
        return {"ScalableTargets": [found] if self.exists else []}

    def describe_scaling_policies(self, **_: Any) -> Any:
        told = {"PolicyARN": "arn", "Alarms": []}
        return {
            "ScalingPolicies": [{"PolicyName": name, **told, **one} for name, one in self.policies.items()]
        }

    def describe_scheduled_actions(self, **_: Any) -> Any:
        told = {"ScheduledActionARN": "arn", "Timezone": None}
        found = [{"ScheduledActionName": name, **told, **one} for name, one in self.actions.items()]
        return {"ScheduledActions": found}

    def register_scalable_target(self, **request: Any) -> None:
        assert request["ResourceId"] == RESOURCE
        self.exists = True
        if "MinCapacity" in request:
            self.limits = (request["MinCapacity"], request["MaxCapacity"])
        self.suspended = request.get("SuspendedState", self.suspended)

    def deregister_scalable_target(self, **_: Any) -> None:
        self.exists, self.policies, self.actions, self.limits = False, {}, {}, (0, 0)

    def put_scaling_policy(self, **request: Any) -> None:
        self.policies[request.pop("PolicyName")] = without_target(request)

    def put_scheduled_action(self, **request: Any) -> None:
        self.actions[request.pop("ScheduledActionName")] = without_target(request)


def without_target(request: dict[str, Any]) -> dict[str, Any]:
    assert request.pop("ResourceId") == RESOURCE
    del request["ServiceNamespace"], request["ScalableDimension"]
    return request


ALL, NONE = dict.fromkeys(scaling.KINDS, True), dict.fromkeys(scaling.KINDS, False)


@pytest.mark.parametrize("before", [None, NONE, NONE | {"ScheduledScalingSuspended": True}])
def test_scaling_is_held_and_given_back_as_it_was(tmp_path: Path, before: dict[str, bool] | None) -> None:
    stage: Any = FakeStage(tmp_path, before)
    with scaling.held(stage, RESOURCE):
        assert stage.suspended == ALL
    assert stage.suspended == (before or NONE)
    assert not scaling.resume(stage)


def test_it_is_given_back_when_the_update_fails(tmp_path: Path) -> None:
    stage: Any = FakeStage(tmp_path, None)
    with pytest.raises(RuntimeError), scaling.held(stage, RESOURCE):
        raise RuntimeError
    assert stage.suspended == NONE


def test_the_next_command_gives_back_what_a_killed_one_held(tmp_path: Path) -> None:
    stage: Any = FakeStage(tmp_path, None)
    held = scaling.held(stage, RESOURCE)
    held.__enter__()
    assert stage.suspended == ALL
    assert scaling.resume(stage)
    assert stage.suspended == NONE


def test_what_does_not_scale_is_left_alone(tmp_path: Path) -> None:
    stage: Any = FakeStage(tmp_path, None, exists=False)
    with scaling.held(stage, RESOURCE):
        pass
    assert stage.suspended is None


def test_a_target_that_goes_meanwhile_is_not_given_anything(tmp_path: Path) -> None:
    stage: Any = FakeStage(tmp_path, None)
    with scaling.held(stage, RESOURCE), scaling.away(stage, RESOURCE):
        stage.suspended = "gone"
    assert (stage.suspended, stage.exists) == ("gone", False)


def test_what_was_taken_out_of_scaling_comes_back_as_it_was_where_the_update_fails(tmp_path: Path) -> None:
    stage: Any = FakeStage(tmp_path, NONE)
    policies, actions = dict(stage.policies), dict(stage.actions)
    seen = []

    def fail() -> None:
        seen.append((stage.exists, len(stage.policies), len(stage.actions)))
        raise RuntimeError

    with pytest.raises(RuntimeError), scaling.held(stage, RESOURCE), scaling.away(stage, RESOURCE):
        fail()
    assert seen == [(False, 0, 0)]
    assert (stage.exists, stage.limits, stage.policies, stage.actions) == (True, (1, 4), policies, actions)
    assert stage.suspended == NONE


def test_what_terraform_has_registered_already_is_left_alone(tmp_path: Path) -> None:
    stage: Any = FakeStage(tmp_path, None)
    away = scaling.away(stage, RESOURCE)
    away.__enter__()
    stage.exists = True
    assert not away.__exit__(RuntimeError, RuntimeError(), None)
    assert stage.policies == {}


def test_what_did_not_scale_is_not_registered(tmp_path: Path) -> None:
    stage: Any = FakeStage(tmp_path, None, exists=False)
    with pytest.raises(RuntimeError), scaling.away(stage, RESOURCE):
        raise RuntimeError
    assert not stage.exists


def test_what_scales_is_the_variant_or_the_component_where_there_is_one() -> None:
    outputs = {"endpoint_name": "kennel-dev", "endpoint_variant": "primary", "inference_component_name": None}
    assert scaling.resource_id(outputs) == RESOURCE
    assert scaling.dimension(RESOURCE) == "sagemaker:variant:DesiredInstanceCount"
    component = scaling.resource_id(outputs | {"inference_component_name": "kennel-dev-classifier"})
    assert component == "inference-component/kennel-dev-classifier"
    assert scaling.dimension(component) == "sagemaker:inference-component:DesiredCopyCount"
