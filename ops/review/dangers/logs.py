"""What may lose logs."""

from __future__ import annotations

from collections.abc import Iterator

from ops.review.dangers.rule import Hit, Scene, rule

LOGS = "aws_cloudwatch_log_group"
FOREVER = 10**6  # days: a retention of 0 or none is no limit


@rule(
    "logs-destroyed",
    "danger",
    when="a log group is destroyed or replaced.",
    why="What was written until now is lost, and with it what an inquiry would need.",
    remedy="Export it first (aws logs create-export-task), or keep the group.",
)
def logs_destroyed(scene: Scene) -> Iterator[Hit]:
    for one in scene.of(LOGS):
        if one.goes:
            yield one.address, f"The log group {one.called('name')} goes, with all that is in it."


@rule(
    "retention-shortened",
    "danger",
    when="a log group keeps what is written for a shorter time.",
    why="CloudWatch then deletes what is older, and nothing brings it back.",
    remedy="Export it first (aws logs create-export-task), or keep the retention.",
)
def retention(scene: Scene) -> Iterator[Hit]:
    for one in scene.of(LOGS):
        if one.action == "update" and one.knows("retention_in_days"):
            before, after = (get("retention_in_days") or FOREVER for get in (one.was, one.will))
            if after < before:
                kept = "for good" if before == FOREVER else f"{before} days"
                yield one.address, f"{one.called('name')} is kept for {after} days instead of {kept}."
