from __future__ import annotations

from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any

import pytest

from ml.errors import KennelError
from ops import deploy, files, fleet, live, recovery
from ops.deploy import Deployment
from ops.fleet import Fleet
from ops.planned import Planned
from ops.rollback import RolledBackError
from ops.rollout import Rollout
from ops.stage import Stage
from ops.terraform import TerraformError
from ops.update import Update

MOVED = Update(3, 3, ("ml.m5.large", "ml.m5.large"), False, ("Instances: 3 kept (live), 1 declared.",))
PLANNED = Planned(True, "text", {"update": 1}, MOVED, Rollout("CANARY", 10), "same")


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Deployment:
    monkeypatch.setattr(Stage, "directory", tmp_path)
    made = Deployment(Stage.of("dev"), lambda _: None)
    made.plan_file.write_text("a plan")
    return made


def scaled(monkeypatch: pytest.MonkeyPatch, wanted: int) -> None:
    found = Fleet("kennel-dev", "c", "InService", None, wanted)
    monkeypatch.setattr(fleet, "look", lambda *_: found)


def plan_again(monkeypatch: pytest.MonkeyPatch, planned: Planned) -> list[Rollout | None]:
    rollouts: list[Rollout | None] = []

    def plan(_: Deployment, *, force: bool, rollout: Rollout | None) -> Planned:
        rollouts.append(rollout)
        return planned

    monkeypatch.setattr(Deployment, "plan", plan)
    return rollouts


@pytest.mark.parametrize("wanted", [1, 3])
def test_a_plan_holds_while_no_more_are_live(
    wanted: int, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaled(monkeypatch, wanted)
    assert deployment._with_live_count(PLANNED, "kennel-dev") is PLANNED


def test_what_was_scaled_out_since_is_planned_anew(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaled(monkeypatch, 4)
    fresh = replace(PLANNED, update=replace(MOVED, count=4, live=4))
    rollouts = plan_again(monkeypatch, fresh)
    assert deployment._with_live_count(PLANNED, "kennel-dev") is fresh
    assert rollouts == [PLANNED.rollout]


def test_a_plan_that_differs_in_more_than_the_count_is_not_applied(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaled(monkeypatch, 4)
    plan_again(monkeypatch, replace(PLANNED, essence="other"))
    with pytest.raises(KennelError, match="more than the number of instances has changed"):
        deployment._with_live_count(PLANNED, "kennel-dev")


def test_what_autoscaling_allows_no_more_of_is_not_planned_again(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaled(monkeypatch, 6)
    planned = replace(PLANNED, update=replace(MOVED, count=4, live=6))
    assert deployment._with_live_count(planned, "kennel-dev") is planned


def stored(
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    planned: Planned = PLANNED,
    inputs: str = "digest",
) -> None:
    monkeypatch.setattr(Stage, "identity", "account 1")
    monkeypatch.setattr(Deployment, "_inputs_digest", lambda _: "digest")
    files.write_json(deployment.plan_record, {"inputs": inputs, "identity": "account 1", **asdict(planned)})


def test_a_saved_plan_is_read_as_it_was(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(deployment, monkeypatch)
    assert deployment.saved() == PLANNED
    assert deployment.saved(Rollout("CANARY", 10)) == PLANNED


def test_a_saved_plan_moves_traffic_as_it_was_planned(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(deployment, monkeypatch)
    with pytest.raises(KennelError, match="all at once, planned canary 10 %"):
        deployment.saved(Rollout("ALL_AT_ONCE"))


def test_a_plan_made_from_other_inputs_is_not_applied(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(deployment, monkeypatch, inputs="others")
    with pytest.raises(KennelError, match="have changed since it was saved"):
        deployment.saved()


@pytest.mark.parametrize(("inputs", "rollout"), [("digest", Rollout("CANARY", 50)), ("others", None)])
def test_an_empty_plan_that_does_not_fit_is_made_anew(
    inputs: str, rollout: Rollout | None, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(deployment, monkeypatch, Planned(False, "No changes.", {}, None, None, "same"), inputs)
    assert deployment.saved(rollout) is None
    assert not deployment.plan_file.exists()
    assert not deployment.plan_record.exists()


PROVIDER = (
    "waiting for SageMaker AI Endpoint (x) update: unexpected state 'RollingBack', wanted target 'InService'"
)


def fail_to_apply(deployment: Deployment, monkeypatch: pytest.MonkeyPatch, told: str) -> list[str]:
    """Let Terraform end with an error while the endpoint still goes back; return what is waited for."""
    waited: list[str] = []

    def apply(*_: Any) -> None:
        raise TerraformError("apply", [(told, "")], "Correct it.")

    def look(*_: Any) -> Fleet:
        return Fleet("kennel-dev", "old", "InService" if waited else "RollingBack", "An alarm rang.", 3)

    outputs = {"endpoint_name": "kennel-dev"}
    monkeypatch.setattr(Deployment, "terraform", SimpleNamespace(outputs=lambda: outputs))
    monkeypatch.setattr(Deployment, "_apply", apply)
    monkeypatch.setattr(recovery, "refuse_when_at_work", lambda _: None)
    monkeypatch.setattr(recovery, "remove", lambda *_: None)
    monkeypatch.setattr(live, "wait_until_stable", lambda _, endpoint: waited.append(endpoint))
    monkeypatch.setattr(fleet, "look", look)
    monkeypatch.setattr(fleet, "served_digest", lambda *_: "f" * 64)
    return waited


@pytest.mark.parametrize("told", [PROVIDER, "Resource postcondition failed: the update was rolled back"])
def test_an_update_that_is_rolled_back_is_told_when_the_endpoint_serves_again(
    told: str, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = fail_to_apply(deployment, monkeypatch, told)
    with pytest.raises(RolledBackError, match=r"with 3 instances\.\nReceived: An alarm rang\."):
        deployment.apply(replace(PLANNED, update=None), [])
    assert waited == ["kennel-dev"]


def test_an_update_that_is_refused_was_not_rolled_back(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = "updating SageMaker AI Endpoint (kennel-dev): AccessDeniedException: not authorized"
    waited = fail_to_apply(deployment, monkeypatch, refused)
    with pytest.raises(TerraformError, match="not authorized"):
        deployment.apply(replace(PLANNED, update=None), [])
    assert waited == []


def test_the_configuration_has_the_address_that_terraform_gives_it() -> None:
    assert deploy.CONFIGURATION.endswith(f"{fleet.CONFIGURATION}.this")
