"""What a saved plan is, for those who apply it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from ops.rollout import Rollout
from ops.update import Update

if TYPE_CHECKING:
    from ops.review.review import Review


@dataclass(frozen=True)
class Planned:
    """A saved plan and what it was made from."""

    has_changes: bool
    summary: str  # the review in short
    counts: dict[str, int]  # changes by action
    update: Update | None  # of the endpoint
    rollout: Rollout | None  # where a command chose it
    essence: str  # what changes, whatever the number of instances
    review: Review | None = field(default=None, compare=False, repr=False)  # None: read from a record

    @classmethod
    def read(cls, record: dict[str, Any]) -> Planned:
        """Return the plan that was stored as its `record`.

        Raises:
            KeyError, TypeError: a version of Kennel stored it that had other plans.
        """
        known = {each.name: record[each.name] for each in fields(cls) if each.name != "review"}
        moved, rollout = known["update"], known["rollout"]
        if moved is not None:
            moved = Update(**moved | {"lines": tuple(moved["lines"]), "types": tuple(moved["types"])})
        return cls(**known | {"update": moved, "rollout": Rollout(**rollout) if rollout else None})

    def record(self) -> dict[str, Any]:
        """Return what is stored of it: all but the review, which has files of its own."""
        return {name: value for name, value in asdict(replace(self, review=None)).items() if name != "review"}
