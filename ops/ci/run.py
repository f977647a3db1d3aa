"""The run of a pipeline, as GitHub's or GitLab's runner tells it: what of the environment the steps read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ml.errors import KennelError

AUDIENCE = "sts.amazonaws.com"


@dataclass(frozen=True)
class Run:
    """What started the run, and what it may talk to."""

    forge: Literal["github", "gitlab"]
    api: str
    repository: str  # ORG/NAME, or GitLab's number of the project
    commit: str  # that the run is of
    head: str | None  # last commit of the pull request that the run is of; None: of a push
    number: int | None  # of that pull request
    link: str  # to the run's log
    bot: str  # GitHub's login of who writes the comments
    role: str | None  # to take on
    token: str | None = field(default=None, repr=False)  # for the API
    identity_address: str | None = None  # GitHub gives the identity token here,
    identity_secret: str | None = field(default=None, repr=False)  # to those that know this;
    identity_token: str | None = field(default=None, repr=False)  # GitLab has put it here
    outputs: Path | None = None  # file for what later steps need to know
    summary: Path | None = None  # file for the run's page

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Run:
        """Parse what the runner has set.

        Raises:
            KennelError: this is no pipeline, or not one of what these tasks are for.
        """
        if environment.get("GITHUB_ACTIONS") == "true":
            return _github(environment)
        if environment.get("GITLAB_CI") == "true":
            return _gitlab(environment)
        raise KennelError(
            "The tasks ci.plan, ci.comment, ci.verify and ci.apply are steps of a pipeline.",
            "neither GITHUB_ACTIONS nor GITLAB_CI is set",
            "By hand: ./inv plan, then ./inv apply. docs/ci.md sets a pipeline up.",
        )

    def tell(self, name: str, value: str) -> None:
        """Leave a value for the steps after this one."""
        if self.outputs is not None:
            with self.outputs.open("a") as file:
                file.write(f"{name}={value}\n")

    def show(self, markdown: str) -> None:
        """Show text on the run's page."""
        if self.summary is not None:
            with self.summary.open("a") as file:
                file.write(markdown + "\n")


def _github(environment: Mapping[str, str]) -> Run:
    event = _event(environment)
    request = event.get("pull_request") or {}
    repository = _needed(environment, "GITHUB_REPOSITORY")
    server = environment.get("GITHUB_SERVER_URL", "https://github.com")
    return Run(
        "github",
        environment.get("GITHUB_API_URL", "https://api.github.com"),
        repository,
        _needed(environment, "GITHUB_SHA"),
        request["head"]["sha"] if request else None,
        int(request["number"]) if request else None,
        f"{server}/{repository}/actions/runs/{environment.get('GITHUB_RUN_ID', '')}",
        environment.get("KENNEL_COMMENT_AUTHOR") or "github-actions[bot]",
        environment.get("KENNEL_ROLE_ARN") or None,
        environment.get("GITHUB_TOKEN") or None,
        identity_address=environment.get("ACTIONS_ID_TOKEN_REQUEST_URL"),
        identity_secret=environment.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
        outputs=_path(environment, "GITHUB_OUTPUT"),
        summary=_path(environment, "GITHUB_STEP_SUMMARY"),
    )


def _gitlab(environment: Mapping[str, str]) -> Run:
    number = environment.get("CI_MERGE_REQUEST_IID")
    commit = _needed(environment, "CI_COMMIT_SHA")
    # Of a pipeline for merged results, CI_COMMIT_SHA is the merge that was tried, and this is the branch's own commit.
    head = environment.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or commit
    return Run(
        "gitlab",
        _needed(environment, "CI_API_V4_URL"),
        _needed(environment, "CI_PROJECT_ID"),
        commit,
        head if number else None,
        int(number) if number else None,
        environment.get("CI_JOB_URL", ""),
        "",  # the token says who writes
        environment.get("KENNEL_ROLE_ARN") or None,
        environment.get("KENNEL_GITLAB_TOKEN") or None,
        identity_token=environment.get("KENNEL_ID_TOKEN") or None,
    )


def _event(environment: Mapping[str, str]) -> dict[str, Any]:
    file = _path(environment, "GITHUB_EVENT_PATH")
    if file is None or not file.is_file():
        return {}
    event: dict[str, Any] = json.loads(file.read_text())
    return event


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    return Path(environment[name]) if environment.get(name) else None


def _needed(environment: Mapping[str, str], name: str) -> str:
    if not environment.get(name):
        raise KennelError(f"A pipeline's runner sets {name}.", "it is not set", "Run the task in a pipeline.")
    return environment[name]
