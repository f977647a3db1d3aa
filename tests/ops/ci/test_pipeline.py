from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ml.errors import KennelError
from ops import update
from ops.ci import bundle, pipeline
from ops.ci.bundle import Manifest
from ops.ci.forge import Request
from ops.ci.run import Run
from ops.planned import Planned
from ops.stage import Stage

HEAD, MERGED = "a" * 40, "b" * 40
RUN = Run("github", "", "org/photos", MERGED, None, None, "https://example.com/run", "", None, "token")
REVIEWED = Request(7, HEAD)
CHANGE = {"address": "a", "change": {"actions": ["update"], "after": {"size": 1}}}
SHOWN = {"resource_changes": [CHANGE], "timestamp": "then"}


class FakeForge:
    def __init__(self, request: Request | None = REVIEWED) -> None:
        self.request = request

    def merged(self, commit: str) -> Request | None:
        assert commit == MERGED
        return self.request


class FakeDeployment:
    """A deployment whose plan is made, with Terraform's answers."""

    def __init__(self, directory: Path) -> None:
        self.plan_file = directory / "plan.tfplan"
        self.plan_record = directory / "plan.json"
        self.plan_record.write_text('{"inputs": "inputs"}')
        self.serial = 3
        self.shown: dict[bytes, Any] = {}
        self.applied: list[bytes] = []

    @property
    def terraform(self) -> Any:
        return self

    def state(self) -> dict[str, Any]:
        return {"lineage": "lineage", "serial": self.serial}

    def show(self, plan: Path) -> Any:
        return self.shown.get(plan.read_bytes(), SHOWN)

    def apply(self, planned: Planned, orphans: list[Any]) -> Any:
        self.applied.append(self.plan_file.read_bytes())
        return "live"


def saved(file: Path, *, source: str = "resource {}", made: str = "then") -> bytes:
    """Write a plan file as Terraform's, as far as it is read here."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as plan:
        plan.writestr("tfplan", made)
        plan.writestr("tfconfig/m-/main.tf", source)
    return file.read_bytes()


Keep = Callable[..., bytes]


@pytest.fixture
def planned() -> Planned:
    return Planned(True, "1 to update", {"update": 1}, None, None, update.essence(SHOWN))


@pytest.fixture
def deployment(stage: Stage, planned: Planned, monkeypatch: pytest.MonkeyPatch) -> FakeDeployment:
    made = FakeDeployment(stage.directory)
    saved(made.plan_file, made="now")
    monkeypatch.setattr(pipeline, "_planned", lambda *_, force: (made, planned))
    monkeypatch.setattr(pipeline, "_exit_code", lambda _: 2)
    monkeypatch.setattr(pipeline, "Deployment", lambda *_: made)
    return made


@pytest.fixture
def keep(stage: Stage, tmp_path: Path) -> Keep:
    """Keep a plan as the pull request's run did; return its bytes."""

    def keep(*, source: str = "resource {}", **changes: Any) -> bytes:
        file = tmp_path / "kept.tfplan"
        content = saved(file, source=source)
        manifest = Manifest(
            bundle.VERSION,
            "dev",
            HEAD,
            7,
            bundle.digest(file),
            "inputs",
            pipeline._lock(),
            "lineage",
            3,
            2,
            "then",
        )
        bundle.keep(stage, replace(manifest, **changes), file)
        return content

    return keep


def verify(stage: Stage, forge: FakeForge | None = None) -> pipeline.Verified | None:
    known: Any = forge or FakeForge()
    return pipeline.verify(stage, RUN, known, lambda _: None)


def test_the_reviewed_plan_is_the_one_that_is_applied(
    stage: Stage, deployment: FakeDeployment, keep: Keep
) -> None:
    content = keep()
    known: Any = FakeForge()
    assert pipeline.apply(stage, RUN, known, "dev", lambda _: None) == "live"  # type: ignore[comparison-overlap]
    assert deployment.applied == [content]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"inputs": "others"}, "the files that it was made from changed"),
        ({"lock": "another"}, "the provider's lock file changed"),
        ({"serial": 2}, r"the state \(somebody has applied since\) changed"),
        ({"lineage": "another"}, r"the state \(somebody has applied since\) changed"),
        ({"source": "resource { provisioner }"}, "the configuration that it holds changed"),
    ],
)
def test_a_plan_of_other_circumstances_is_stale(
    changes: dict[str, Any], told: str, stage: Stage, deployment: FakeDeployment, keep: Keep
) -> None:
    keep(**changes)
    with pytest.raises(KennelError, match=f"is stale; since it was made, {told}") as refused:
        verify(stage)
    assert "Open another pull request" in str(refused.value)


def test_a_plan_that_changes_something_else_than_the_merged_files_is_stale(
    stage: Stage, deployment: FakeDeployment, keep: Keep
) -> None:
    content = keep()
    other = {"address": "a", "change": {"actions": ["update"], "after": {"size": 9}}}
    deployment.shown[content] = {"resource_changes": [other]}
    with pytest.raises(KennelError, match="what would change changed"):
        verify(stage)


def test_who_planned_it_and_when_makes_no_other_plan_of_it(
    stage: Stage, deployment: FakeDeployment, keep: Keep
) -> None:
    content = keep()
    deployment.shown[content] = {**SHOWN, "timestamp": "now", "prior_state": {"values": "another session's"}}
    known: Any = FakeForge()
    pipeline.apply(stage, RUN, known, "dev", lambda _: None)
    assert deployment.applied == [content]


def test_where_more_is_live_than_was_the_plan_made_now_is_applied(
    stage: Stage, deployment: FakeDeployment, keep: Keep
) -> None:
    content = keep()
    fresh = deployment.plan_file.read_bytes()
    deployment.shown[content] = {**SHOWN, "variables": {"live_instance_count": {"value": 2}}}
    said: list[str] = []
    known: Any = FakeForge()
    pipeline.apply(stage, RUN, known, "dev", said.append)
    assert deployment.applied == [fresh]
    assert "going on with the plan made now." in said


def test_a_push_without_a_pull_request_is_refused(stage: Stage, deployment: FakeDeployment) -> None:
    with pytest.raises(KennelError, match="came without one, and would change 1 to update"):
        verify(stage, FakeForge(None))


def test_a_merge_that_changes_nothing_needs_no_plan(
    stage: Stage, deployment: FakeDeployment, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = replace(planned, has_changes=False)
    monkeypatch.setattr(pipeline, "_planned", lambda *_, force: (deployment, nothing))
    assert verify(stage, FakeForge(None)) is None


def test_a_plan_that_needs_approval_goes_to_the_environment_where_somebody_gives_it(
    stage: Stage, deployment: FakeDeployment, keep: Keep
) -> None:
    keep(exit_code=3)
    verified = verify(stage)
    assert verified is not None
    assert verified.environment(stage) == "dev-approval"


def test_a_review_that_was_forged_to_need_no_approval_still_does(
    stage: Stage, deployment: FakeDeployment, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(exit_code=2)
    monkeypatch.setattr(pipeline, "_exit_code", lambda _: 3)
    known: Any = FakeForge()
    with pytest.raises(KennelError, match="is applied in the environment dev-approval"):
        pipeline.apply(stage, RUN, known, "dev", lambda _: None)
    assert deployment.applied == []
    assert pipeline.apply(stage, RUN, known, "dev-approval", lambda _: None) is not None


def test_what_failed_is_what_the_comment_says_without_secrets(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pipeline, "folder", lambda _: tmp_path / "out")
    with pytest.raises(KennelError), pipeline.failures_shown(stage, RUN):
        raise KennelError("A rule.", "key AKIAIOSFODNN7EXAMPLE ``` end", "A remedy.")
    text = pipeline.comment_text(stage, RUN)
    assert "### No plan for the stage `dev`" in text
    assert "AKIAIOSFODNN7EXAMPLE" not in text
    assert text.count("```") == 2
    assert "[The run's log](https://example.com/run)" in text


def test_what_the_cloud_refuses_is_in_the_comment_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pipeline, "folder", lambda _: tmp_path / "out")
    with pytest.raises(ClientError), pipeline.failures_shown(stage, RUN):
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")
    assert "AccessDenied" in pipeline.comment_text(stage, RUN)


def test_a_run_that_did_not_get_to_its_plan_says_so(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pipeline, "folder", lambda _: tmp_path / "out")
    assert "did not get to it" in pipeline.comment_text(stage, RUN)


def test_a_plan_is_of_a_pull_request(stage: Stage) -> None:
    with pytest.raises(KennelError, match="a step of a pull request's pipeline"):
        pipeline.plan(stage, RUN, lambda _: None)
