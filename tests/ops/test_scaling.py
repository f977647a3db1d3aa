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

    def client(self, _: str) -> Any:
        return self

    def describe_scalable_targets(self, **_: Any) -> Any:
        return {"ScalableTargets": [{"SuspendedState": self.suspended}] if self.exists else []}

    def register_scalable_target(self, **request: Any) -> None:
        assert request["ResourceId"] == RESOURCE
        self.suspended = request["SuspendedState"]

    def deregister_scalable_target(self, **_: Any) -> None:
        self.exists = False


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
    with scaling.held(stage, RESOURCE):
        scaling.deregister(stage, RESOURCE)
        stage.suspended = "gone"
    assert stage.suspended == "gone"
