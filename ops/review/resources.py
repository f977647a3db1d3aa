"""The resources of a plan, as a judge looks at them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

Action = Literal["create", "update", "replace", "destroy", "forget", "keep"]
ACTIONS: dict[tuple[str, ...], Action] = {
    ("create",): "create",
    ("update",): "update",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
    ("delete",): "destroy",
    ("forget",): "forget",
    ("create", "forget"): "forget",
    ("forget", "create"): "forget",
    ("no-op",): "keep",
}


@dataclass(frozen=True)
class Resource:
    """What a plan does with one resource."""

    address: str
    type: str
    name: str  # in the configuration
    action: Action
    before: dict[str, Any]  # empty: it is not there
    after: dict[str, Any]  # empty: it will not be there
    unknown: dict[str, Any]  # of what it will be, true where Terraform does not know it yet
    create_first: bool = False  # of a replacement
    moved_from: str | None = None

    @property
    def goes(self) -> bool:
        """Whether what is there now will be deleted."""
        return self.action in {"destroy", "replace"}

    def was(self, *path: str | int) -> Any:
        """Return a value of what is there now; None where there is none."""
        return _at(self.before, path)

    def will(self, *path: str | int) -> Any:
        """Return a value of what will be there; None where there is none, or it is not known yet."""
        return _at(self.after, path)

    def knows(self, *path: str | int) -> bool:
        """Tell whether it is known what will be there."""
        return bool(self.after) and not _has_unknown(_at(self.unknown, path))

    def becomes(self, *path: str | int) -> tuple[Any, Any] | None:
        """Return a value before and after where an existing resource gets another one that is known.

        Providers write "", null and false for the same.
        """
        if not self.before or not self.after or not self.knows(*path):
            return None
        pair = self.was(*path), self.will(*path)
        return None if pair[0] == pair[1] or not any(pair) else pair

    def called(self, *names: str) -> str:
        """Return what AWS calls it, by the first of these attributes that it has, or else its address."""
        for state in (self.before, self.after):
            for name in names:
                if isinstance(state.get(name), str) and state[name]:
                    return str(state[name])
        return self.address


def resources(plan: dict[str, Any]) -> list[Resource]:
    """Return all that the plan manages, what it leaves as it is included."""
    found = []
    for entry in plan.get("resource_changes", []):
        change = entry["change"]
        action = ACTIONS.get(tuple(change["actions"]))
        if action is None or "deposed" in entry or entry.get("mode", "managed") != "managed":
            continue
        found.append(
            Resource(
                entry["address"],
                entry["type"],
                entry["name"],
                action,
                change.get("before") or {},
                change.get("after") or {},
                change.get("after_unknown") or {},
                change["actions"][0] == "create",
                entry.get("previous_address"),
            )
        )
    return found


def of_types(found: Iterable[Resource], *types: str) -> list[Resource]:
    """Return those of these types."""
    return [one for one in found if one.type in types]


def first(found: Iterable[Resource], chosen: Callable[[Resource], bool]) -> Resource | None:
    """Return the first that is chosen."""
    return next((one for one in found if chosen(one)), None)


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and len(value) > step else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _has_unknown(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_unknown(one) for one in value.values())
    if isinstance(value, list):
        return any(_has_unknown(one) for one in value)
    return bool(value)
