"""What a saved plan is, for those who apply it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.rollout import Rollout
from ops.update import Update


@dataclass(frozen=True)
class Planned:
    """A saved plan and what it was made from."""

    has_changes: bool
    summary: str
    counts: dict[str, int]  # changes by action
    update: Update | None  # of the endpoint
    rollout: Rollout | None  # where a command chose it
    essence: str  # what changes, whatever the number of instances

    @classmethod
    def read(cls, record: dict[str, Any]) -> Planned:
        """Return the plan that was stored with `asdict`."""
        moved, rollout = record["update"], record["rollout"]
        if moved is not None:
            moved = Update(**moved | {"lines": tuple(moved["lines"]), "types": tuple(moved["types"])})
        return cls(**record | {"update": moved, "rollout": Rollout(**rollout) if rollout else None})
