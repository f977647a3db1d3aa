from __future__ import annotations

import json
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from invoke import Context, Exit

import tasks
from ops import terraform
from ops.deploy import Deployment
from ops.planned import Planned
from ops.review.facts import Danger
from ops.review.review import Header, Review
from ops.review.words import Change
from ops.rollout import Rollout
from ops.stage import Stage
from ops.terraform import Terraform, TerraformError
from ops.update import Update

MOVED = Update(3, 3, ("ml.m5.large", "ml.m5.large"), False, ("Instances: 3 kept (live), 1 declared.",))
SECRET = "planted-" + "value"  # in no log, whole or in parts
# Prints what Terraform's error messages hold: what was given, as JSON within JSON.
FAKE_TERRAFORM = f"""#!/bin/sh
case "$*" in *plan.tfplan*) touch "$PLAN";; esac
echo '{{"type": "diagnostic", "diagnostic": {{"severity": "error", "summary": "Invalid value",
 "detail": "got {{\\\\"db_password\\\\":\\\\"{SECRET}\\\\"}}"}}}}' | tr -d '\\n'
echo
exit 1
"""


def test_a_plan_is_stored_without_its_review_and_read_again() -> None:
    review = Review(Header("dev"))
    planned = Planned(True, "text", {"update": 1}, MOVED, Rollout("CANARY", 10), "same", review)
    record = json.loads(json.dumps(planned.record()))
    assert "review" not in record
    assert Planned.read(record) == planned
    assert Planned.read(record | {"of": "a later version"}).review is None


@pytest.mark.parametrize(
    "record", [{}, {"inputs": "x", "identity": "account 1", "has_changes": True}, [], "text"]
)
def test_a_plan_that_another_version_has_stored_is_made_anew(
    record: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Stage, "directory", tmp_path)
    monkeypatch.setattr(Stage, "identity", "account 1")
    said: list[str] = []
    deployment = Deployment(Stage.of("dev"), said.append)
    deployment.plan_file.write_text("a plan")
    deployment.plan_record.write_text(json.dumps(record))
    assert deployment.saved() is None
    assert said == ["The saved plan was made by another version of Kennel: planning anew."]
    assert not deployment.plan_file.exists()


DANGER = Danger("rule", "danger", "a.b", "It goes.", "It is needed.", "Keep it.")
CHANGE = Change("a.b", "a", "update", "It is changed")


@pytest.mark.parametrize(
    ("review", "code"),
    [
        (Review(Header("dev"), has_changes=False), 0),
        (Review(Header("dev"), changes=(CHANGE,)), 2),
        (Review(Header("dev"), changes=(CHANGE,), dangers=(DANGER,)), 3),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_the_task_ends_with_what_the_plan_holds(
    review: Review,
    code: int,
    as_json: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: dict[str, Any] = {}

    def plan(_: Deployment, **options: Any) -> Any:
        asked.update(options)
        return SimpleNamespace(review=review)

    monkeypatch.setattr(Deployment, "prepare", lambda _: [])
    monkeypatch.setattr(Deployment, "plan", plan)
    with pytest.raises(Exit) as ended:
        tasks.plan(Context(), stage="dev", json=as_json, no_scan=as_json)
    assert ended.value.code == code
    assert asked["scan"] is not as_json
    out = capsys.readouterr().out
    assert json.loads(out)["exit_code"] == code if as_json else out.startswith(review.headline)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terraform:
    """Return a Terraform whose program fails with a secret in its words."""
    program = tmp_path / "bin" / "terraform"
    program.parent.mkdir()
    program.write_text(FAKE_TERRAFORM)
    program.chmod(0o755)
    environment = {"PATH": f"{program.parent}:/usr/bin:/bin", "PLAN": str(tmp_path / "plan.tfplan")}
    monkeypatch.setenv("PATH", environment["PATH"])
    monkeypatch.setattr(terraform, "WORK", tmp_path)
    settings = SimpleNamespace(provider_mirror=None)
    stage: Any = SimpleNamespace(
        directory=tmp_path, environment=environment, settings=settings, is_running=True
    )
    return Terraform(stage, directory=tmp_path)


def test_neither_an_error_nor_the_log_tells_a_secret_and_nobody_else_reads_the_plan(
    failing: Terraform, tmp_path: Path
) -> None:
    plan_file = tmp_path / "plan.tfplan"
    with pytest.raises(TerraformError) as failure:
        failing.plan(plan_file, [], lambda _: None)
    assert "Invalid value" in str(failure.value)
    assert SECRET not in str(failure.value)
    assert SECRET not in repr(failure.value.diagnostics)
    log = failing.log.read_text()
    assert "Invalid value" in log
    assert SECRET not in log
    assert [stat.S_IMODE(file.stat().st_mode) for file in (failing.log, plan_file)] == [0o600, 0o600]
