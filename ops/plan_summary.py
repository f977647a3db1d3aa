"""A saved plan in words, as much as fits a terminal: what goes first, then what changes, then what comes."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from dataclasses import dataclass
from typing import Any

from ops.artifacts import Model

MARKS = {"destroy": "-", "replace": "±", "update": "~", "create": "+"}  # in the order in which they are shown
WIDTH = 80  # columns
LISTED = 15  # addresses of one action; creations are counted by module beyond that


@dataclass(frozen=True)
class Change:
    """One resource that a plan changes."""

    address: str
    action: str  # a key of MARKS
    attributes: tuple[str, ...]  # that differ, of an update or a replacement
    forced_by: tuple[str, ...]  # attributes that force a replacement, or what else does


def changes(plan: dict[str, Any]) -> list[Change]:
    """Return the plan's changes, the most dangerous first."""
    found = [_change(entry) for entry in plan.get("resource_changes", [])]
    order = list(MARKS)
    return sorted((c for c in found if c is not None), key=lambda c: (order.index(c.action), c.address))


def _change(entry: dict[str, Any]) -> Change | None:
    actions = entry["change"]["actions"]
    if actions in (["no-op"], ["read"]):
        return None
    action = "replace" if len(actions) == 2 else {"delete": "destroy"}.get(actions[0], actions[0])
    before, after = entry["change"].get("before") or {}, entry["change"].get("after") or {}
    unknown = entry["change"].get("after_unknown") or {}
    differing = tuple(
        name
        for name in sorted({*before, *after} if action in {"update", "replace"} else ())
        if before.get(name) != after.get(name) and not unknown.get(name)
    )
    if "deposed" in entry:
        differing = ("left by an update that did not succeed",)
    forced = tuple(sorted({str(path[0]) for path in entry["change"].get("replace_paths", [])}))
    if entry.get("action_reason") == "replace_by_request":
        forced = ("this command",)
    return Change(entry["address"], action, differing if action != "create" else (), forced)


def counts(found: list[Change]) -> dict[str, int]:
    """Return the number of changes by action."""
    return dict(Counter(change.action for change in found))


def text(
    found: list[Change], deployed: Model | None, model: Model | None, notes: tuple[str, ...] = ()
) -> str:
    """Return the plan in words; `notes` tell of what it does to the endpoint."""
    if not found:
        return "Nothing changes: what is deployed is what is declared."
    number = counts(found)
    lines = [", ".join(f"{number[action]} to {action}" for action in MARKS if action in number) + "."]
    for action, mark in MARKS.items():
        of_action = [change for change in found if change.action == action]
        if action == "create" and len(of_action) > LISTED:
            lines += [f"  {mark} {count:3d} in {module}" for module, count in _by_module(of_action).items()]
            continue
        for change in of_action:
            lines += _described(change, mark)
    if model is not None and (deployed is None or deployed.sha256 != model.sha256):
        lines += ["", *_models(deployed, model)]
    if notes:
        lines += ["", *(line for note in notes for line in _wrapped(note))]
    return "\n".join(lines)


def _described(change: Change, mark: str) -> list[str]:
    """Return the change's line, or two where one would be wider than a terminal."""
    # A digest is known by its beginning.
    address = re.sub(r'"([0-9a-f]{12})[0-9a-f]{52}"', r'"\1…"', change.address)
    why = f"forced by {', '.join(change.forced_by)}" if change.forced_by else ", ".join(change.attributes[:6])
    line = f"  {mark} {address}"
    if not why:
        return [line]
    return [f"{line} ({why})"] if len(line) + len(why) + 3 <= WIDTH else [line, f"      ({why})"]


def _by_module(found: list[Change]) -> dict[str, int]:
    modules = (
        c.address.split(".")[1].split("[")[0] if c.address.startswith("module.") else "the root"
        for c in found
    )
    return dict(sorted(Counter(modules).items()))


def _wrapped(note: str) -> list[str]:
    indent = " " * (len(note) - len(note.lstrip()))
    return textwrap.wrap(note, WIDTH, initial_indent="", subsequent_indent=indent or "  ")


def _models(deployed: Model | None, model: Model) -> list[str]:
    before = [f"  from {deployed}"] if deployed is not None else []
    return ["Model:", *before, f"  to   {model}"]
