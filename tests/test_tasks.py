from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from invoke import Context, Exit

import tasks
from ops import remote
from ops.doctor import Finding
from ops.jobs.follow import Detached
from ops.jobs.sagemaker import Job
from ops.paths import ROOT
from ops.planned import Planned
from ops.stage import Stage
from ops.status import Status
from ops.sweep import Found

ENDLESS = """
import sys, invoke, tasks
try:
    with tasks.errors_shown():
        while True:
            print("a line")
except invoke.Exit as end:
    sys.exit(end.code)
"""


def test_a_reader_that_has_seen_enough_ends_a_task_quietly() -> None:
    program = [sys.executable, "-c", ENDLESS]
    with subprocess.Popen(
        program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as task:
        assert task.stdout is not None
        assert task.stderr is not None
        assert task.stdout.readline() == "a line\n"
        task.stdout.close()
        assert task.stderr.read() == ""
        assert task.wait(60) == 141


@pytest.mark.parametrize("json", [False, True])
def test_what_a_cloud_says_is_shown_without_the_secrets_in_it(
    json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = "AKIAIOSFODNN7EXAMPLE"
    said = f"the container ended: {'word ' * 9}{key}"
    monkeypatch.setattr(tasks, "look", lambda _: Status("dev", "us-east-1", live=(("endpoint", said),)))
    monkeypatch.setattr("ops.doctor.examine", lambda _: [Finding("boundary", "ok", said)])
    tasks.status(Context(), stage="dev", json=json)
    tasks.doctor(Context(), stage="dev", json=json)
    shown = capsys.readouterr().out
    assert shown.count("(hidden)") == 2
    assert key not in shown


@pytest.mark.parametrize(
    ("has_changes", "orphans"), [(True, []), (False, [Found("model", "kennel-dev-model-lost")])]
)
def test_somebody_agrees_to_what_an_apply_changes_or_removes(
    has_changes: bool,
    orphans: list[Found],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("builtins.input", lambda question: "no")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    planned = Planned(has_changes, "The plan.", {}, None, None, "")
    with pytest.raises(Exit, match="Nothing was changed"):
        tasks.agree(planned, orphans, Stage.of("dev"), yes=False)
    tasks.agree(planned, orphans, Stage.of("dev"), yes=True)
    told = ["The plan.", *(f"Removed first: {found}" for found in orphans)]
    assert capsys.readouterr().out.splitlines() == told * 2


def test_jobs_are_listed_as_json_with_their_times(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    began = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    monkeypatch.setattr(remote, "list_jobs", lambda *_: [Job("bulk", "kennel-dev-1", "InProgress", began)])
    tasks.jobs(Context(), stage="dev", json=True)
    assert json.loads(capsys.readouterr().out) == [
        {
            "kind": "bulk",
            "name": "kennel-dev-1",
            "status": "InProgress",
            "created": "2026-11-23T09:30:00+00:00",
            "ended": None,
        }
    ]


def test_nobody_is_asked_about_an_apply_that_changes_nothing() -> None:
    tasks.agree(Planned(False, "Nothing changes.", {}, None, None, ""), [], Stage.of("dev"), yes=False)


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (
            Detached(Stage.of("dev"), "kennel-dev-1"),
            "./inv jobs --attach kennel-dev-1 --stage dev comes back",
        ),
        (KeyboardInterrupt(), "the same command goes on from here"),
        (KeyboardInterrupt("The same command with --resume"), "The same command with --resume"),
    ],
)
def test_ctrl_c_is_no_error_and_says_what_comes_next(raised: BaseException, told: str) -> None:
    with pytest.raises(Exit) as caught, tasks.errors_shown():
        raise raised
    assert caught.value.code == 130
    assert told in caught.value.message
    assert "error:" not in caught.value.message
