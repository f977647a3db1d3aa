from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ml.errors import KennelError
from ops.ci.run import Run

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "org/photos",
    "GITHUB_SHA": "c" * 40,
    "GITHUB_RUN_ID": "12",
}
GITLAB = {
    "GITLAB_CI": "true", "CI_API_V4_URL": "https://gitlab.com/api/v4", "CI_PROJECT_ID": "42", "CI_COMMIT_SHA": "c" * 40,
}  # fmt: skip


def event(folder: Path, content: dict[str, Any]) -> dict[str, str]:
    file = folder / "event.json"
    file.write_text(json.dumps(content))
    return {"GITHUB_EVENT_PATH": str(file)}


def test_a_pull_requests_run_knows_its_last_commit_and_not_only_the_merge_that_was_tried(
    tmp_path: Path,
) -> None:
    run = Run.read(GITHUB | event(tmp_path, {"pull_request": {"number": 7, "head": {"sha": "a" * 40}}}))
    assert (run.number, run.head, run.commit) == (7, "a" * 40, "c" * 40)
    assert run.link == "https://github.com/org/photos/actions/runs/12"


def test_a_push_is_of_no_pull_request(tmp_path: Path) -> None:
    run = Run.read(GITHUB | event(tmp_path, {"ref": "refs/heads/main"}))
    assert (run.number, run.head) == (None, None)


def test_a_merge_requests_run_knows_its_branchs_commit() -> None:
    request = {"CI_MERGE_REQUEST_IID": "7"}
    assert Run.read(GITLAB | request).head == "c" * 40
    assert Run.read(GITLAB | request | {"CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "a" * 40}).head == "a" * 40
    assert Run.read(GITLAB).head is None


def test_on_github_the_comments_are_the_bots_unless_another_author_is_named() -> None:
    assert Run.read(GITHUB).bot == "github-actions[bot]"
    assert Run.read(GITHUB | {"KENNEL_COMMENT_AUTHOR": "photos[bot]"}).bot == "photos[bot]"


def test_secrets_are_not_in_what_is_printed_of_a_run() -> None:
    secrets = {"GITHUB_TOKEN": "of-the-api", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-the-runner"}
    text = repr(Run.read(GITHUB | secrets)) + repr(
        Run.read(GITLAB | {"KENNEL_ID_TOKEN": "a-jwt", "KENNEL_GITLAB_TOKEN": "x-y"})
    )
    assert not [secret for secret in ("of-the-api", "of-the-runner", "a-jwt", "x-y") if secret in text]


def test_outside_a_pipeline_the_tasks_for_hands_are_named() -> None:
    with pytest.raises(KennelError, match=r"By hand: \./inv plan"):
        Run.read({})


def test_what_a_runner_does_not_set_is_named() -> None:
    with pytest.raises(KennelError, match="runner sets GITHUB_SHA"):
        Run.read(GITHUB | {"GITHUB_SHA": ""})


def test_what_later_steps_need_goes_into_the_runners_files(tmp_path: Path) -> None:
    run = Run.read(
        GITHUB | {"GITHUB_OUTPUT": str(tmp_path / "out"), "GITHUB_STEP_SUMMARY": str(tmp_path / "page")}
    )
    run.tell("environment", "dev")
    run.show("# Review")
    assert (tmp_path / "out").read_text() == "environment=dev\n"
    assert (tmp_path / "page").read_text() == "# Review\n"
