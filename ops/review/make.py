"""Makes the review of a plan that lies in a file, and keeps it beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ops import files, policy
from ops.artifacts import Model
from ops.fleet import Fleet
from ops.policy.exceptions import FILE
from ops.review import gather, markdown
from ops.review.hidden import Hider
from ops.review.review import Review
from ops.rollout import Rollout
from ops.stage import Stage
from ops.terraform import Terraform
from ops.update import Update

ROOM = 512  # characters that a pipeline may put around the comment
FILES = ("review.md", "review.html", "review.json")


def make(
    stage: Stage,
    terraform: Terraform,
    plan_file: Path,
    plan: dict[str, Any],
    *,
    has_changes: bool,
    fleet: Fleet | None,
    models: tuple[Model | None, Model | None],
    update: Update | None,
    rollout: Rollout | None,
    state_version: str,
    scan: bool,
    exceptions: Path = FILE,
) -> Review:
    """Return the review of a plan as Terraform has it; `models` are the deployed one and the one to deploy.

    Raises:
        KennelError: the policy checks could not be made.
    """
    hider = Hider(plan)
    scan = scan and has_changes
    notes: tuple[str, ...] = ()
    if rollout is not None and update is None:
        notes = (f"Traffic ({rollout}): nothing to move, the endpoint's configuration stays.",)
    findings = policy.findings(plan, plan_file, scan=scan, exceptions=exceptions) if has_changes else []
    return Review.of(
        gather.facts(stage, hider.plan, fleet, models, update, state_version),
        gather.header(stage, plan, plan_file, policy.scanner() if scan else ""),
        hider=hider,
        has_changes=has_changes,
        findings=findings,
        notes=notes,
        plan_text=terraform.show_text(plan_file) if has_changes else "",
    )


def keep(review: Review, directory: Path) -> None:
    """Write the review's files."""
    files.write(directory / "review.md", review.markdown(markdown.LIMIT - ROOM) + "\n")
    files.write(directory / "review.html", review.html())
    files.write(directory / "review.json", as_json(review) + "\n")


def forget(directory: Path) -> None:
    """Remove the review's files."""
    for name in FILES:
        (directory / name).unlink(missing_ok=True)


def as_json(review: Review) -> str:
    """Return the review as JSON, for programs."""
    return json.dumps(review.to_dict(), indent=2, ensure_ascii=False)
