from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from ml.errors import KennelError
from ops import deploy, files, fleet
from ops.deploy import Deployment
from ops.fleet import Fleet
from ops.planned import Planned
from ops.rollout import Rollout
from ops.stage import Stage
from ops.update import Update

MOVED = Update(3, 3, ("ml.m5.large", "ml.m5.large"), False, ("Instances: 3 kept (live), 1 declared.",))
PLANNED = Planned(True, "text", {"update": 1}, MOVED, Rollout("CANARY", 10), "same")


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Deployment:
    monkeypatch.setattr(Stage, "directory", tmp_path)
    made = Deployment(Stage.of("dev"), lambda _: None)
    made.plan_file.write_text("a plan")
    return made


def live(monkeypatch: pytest.MonkeyPatch, wanted: int) -> None:
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
    live(monkeypatch, wanted)
    assert deployment._with_live_count(PLANNED, "kennel-dev") is PLANNED


def test_what_was_scaled_out_since_is_planned_anew(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(monkeypatch, 4)
    fresh = replace(PLANNED, update=replace(MOVED, count=4, live=4))
    rollouts = plan_again(monkeypatch, fresh)
    assert deployment._with_live_count(PLANNED, "kennel-dev") is fresh
    assert rollouts == [PLANNED.rollout]


def test_a_plan_that_differs_in_more_than_the_count_is_not_applied(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(monkeypatch, 4)
    plan_again(monkeypatch, replace(PLANNED, essence="other"))
    with pytest.raises(KennelError, match="more than the number of instances has changed"):
        deployment._with_live_count(PLANNED, "kennel-dev")


def test_what_autoscaling_allows_no_more_of_is_not_planned_again(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(monkeypatch, 6)
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


def test_the_configuration_has_the_address_that_terraform_gives_it() -> None:
    assert deploy.CONFIGURATION.endswith(f"{fleet.CONFIGURATION}.this")
