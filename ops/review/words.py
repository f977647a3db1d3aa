"""Each change of a plan in words: what goes first, then what changes, then what comes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from ops.review import differences
from ops.review.differences import Difference, cut, empty, shorter, shown
from ops.review.vocabulary import Kind, humanized, kind_of, rank

# In the order in which they are shown.
MARKS = {
    "destroy": "-", "replace": "±", "forget": "×", "update": "~", "create": "+", "import": "<", "move": ">",
}  # fmt: skip
UNKNOWN = "known after the apply"
FORCING = 3  # reasons for a replacement that are named
SETTINGS = {"environment", "environment_variables", "variables", "Environment"}  # their values are never told


@dataclass(frozen=True)
class Change:
    """One resource that a plan changes."""

    address: str
    type: str
    action: str  # a key of MARKS
    text: str  # one sentence, without a full stop
    details: tuple[str, ...] = ()  # what of it changes
    only_tags: bool = False


def changes(plan: dict[str, Any]) -> list[Change]:
    """Return the plan's changes, the gravest first."""
    found = [change for entry in plan.get("resource_changes", []) if (change := _change(entry)) is not None]
    order = list(MARKS)
    return sorted(found, key=lambda each: (order.index(each.action), rank(each.type), each.address))


def counts(found: list[Change]) -> dict[str, int]:
    """Return the number of changes by action, in the order in which they are shown."""
    number = Counter(change.action for change in found)
    return {action: number[action] for action in MARKS if action in number}


def outputs(plan: dict[str, Any]) -> list[str]:
    """Return the names of the outputs that change."""
    return sorted(
        name for name, change in plan.get("output_changes", {}).items() if change["actions"] != ["no-op"]
    )


def of_difference(kind: Kind, difference: Difference) -> str | None:
    """Return one difference in words; None where it says nothing."""
    path = difference.path
    parts = path.split(".")
    setting = next((n for n, part in enumerate(parts) if part in SETTINGS), None)
    if setting is not None:
        return _of_setting(parts[setting + 1 :], difference)
    label = kind.words.get(path)
    if difference.unknown and (empty(difference.before) or difference.before == 0):
        return None
    if label is None:
        if difference.unknown or any(path == quiet or path.startswith(f"{quiet}.") for quiet in kind.quiet):
            return None
        label = f"tag {'.'.join(parts[1:])}" if parts[0] == "tags" else humanized(" ".join(parts[-2:]))
        label = label.removeprefix("triggers replace ").replace("triggers replace", "content")
    if difference.unknown and label.endswith("changes"):
        return f"{label.removesuffix('changes')}will be known only after the apply"
    if difference.document:
        return label if label.endswith("changes") else f"{label} changes"
    before = shown(difference.before)
    after = UNKNOWN if difference.unknown else shown(difference.after)
    if "{before}" in label:
        return label.format(before=before, after=after)
    if label.endswith("changes"):
        return label
    return label if "another" in label and difference.unknown else f"{label}: {before} → {after}"


def _of_setting(names: list[str], difference: Difference) -> str | None:
    if not names or names == ["variables"]:
        return "settings in the environment change (values hidden)"
    name = ".".join(part for part in names if part != "variables")
    if empty(difference.before) and not difference.unknown:
        return f"setting {name} comes (value hidden)"
    gone = empty(difference.after) and not difference.unknown
    return f"setting {name} {'goes' if gone else 'changes'} (value hidden)"


def _change(entry: dict[str, Any]) -> Change | None:
    change, kind = entry["change"], kind_of(entry)
    action = _action(entry)
    if action is None:
        return None
    name = _name(kind, change)
    thing = f"{kind.noun} “{name}”" if " " in name else f"{kind.noun} {name}".rstrip()
    details: tuple[str, ...] = ()
    if action in {"update", "replace", "import"}:
        told = (of_difference(kind, difference) for difference in differences.of(change))
        details = tuple(dict.fromkeys(text for text in told if text))
    sentence = _sentence(entry, kind, action, thing)
    only_tags = action == "update" and bool(details) and all(detail.startswith("tag ") for detail in details)
    if action == "update" and len(details) == 1 and not only_tags:
        link = " " if details[0].startswith("moves ") else ": "
        sentence, details = f"{thing[:1].upper()}{thing[1:]}{link}{details[0]}", ()
    return Change(entry["address"], entry["type"], action, sentence, details, only_tags)


def _action(entry: dict[str, Any]) -> str | None:
    actions = entry["change"]["actions"]
    if actions in (["no-op"], ["read"]):
        if entry["change"].get("importing"):
            return "import"
        return "move" if entry.get("previous_address") else None
    if "forget" in actions:
        return "forget"
    if len(actions) == 2:
        return "replace"
    return {"delete": "destroy"}.get(actions[0], str(actions[0]))


def _sentence(entry: dict[str, Any], kind: Kind, action: str, thing: str) -> str:
    told = thing[:1].upper() + thing[1:]
    if action == "create":
        back = "" if not kind.comes else f": {kind.comes}"
        return f"{told} is new{back}"
    if action == "destroy":
        if "deposed" in entry:
            return f"{told}, left by an update that did not succeed, is deleted"
        return f"{told} is DELETED" + (f": {kind.gone}" if kind.gone else "")
    if action == "replace":
        first = entry["change"]["actions"] == ["create", "delete"]
        how = "is replaced, the new one made first" if first else "is DELETED and made anew"
        if entry["type"] == "terraform_data":
            how = "is made anew"
        return f"{told} {how}{_why(entry, kind)}"
    if action == "forget":
        anew = ", and another is made" if len(entry["change"]["actions"]) == 2 else ""
        return f"{told} leaves Terraform's care and stays as it is{anew}"
    if action == "import":
        return f"{told} comes into Terraform's care"
    if action == "move":
        return f"{told} stays as it is; Terraform knew it as {shorter(entry['previous_address'])}"
    return f"{told} is changed"


def _why(entry: dict[str, Any], kind: Kind) -> str:
    """Return what forces a replacement."""
    reason = entry.get("action_reason")
    if reason == "replace_by_request":
        return ": this command asks for it"
    if reason == "replace_because_tainted":
        return ": making it did not succeed"
    if reason == "replace_by_triggers":
        return ": something that it follows is made anew"
    paths = {".".join(str(part) for part in path if not isinstance(part, int)) for path in _forcing(entry)}
    whole = [path for path in sorted(paths) if not any(path.startswith(f"{other}.") for other in paths)]
    labels = [f"its {label}" for label in dict.fromkeys(_label(kind, path) for path in whole)]
    if len(labels) > FORCING:
        labels[FORCING:] = [f"{len(labels) - FORCING} things more"]
    return f": {' and '.join(labels)} change{'s' if len(labels) == 1 else ''}" if labels else ""


def _forcing(entry: dict[str, Any]) -> list[list[Any]]:
    paths: list[list[Any]] = entry["change"].get("replace_paths", [])
    named = [path for path in paths if path != ["name"]]  # a name that follows from what else changes
    return named or paths


def _label(kind: Kind, path: str) -> str:
    known = kind.words.get(path, "")
    if known and len(known) < 30 and "{" not in known and "changes" not in known:
        return known
    named = {
        "production_variants.model_name": "model",
        "triggers_replace": "content",
        "data_capture_config": "recording of requests",
    }
    return named.get(path, humanized(path.rpartition(".")[2]))


def _name(kind: Kind, change: dict[str, Any]) -> str:
    """Return what the resource is called, as it is now or will be."""
    for side in ("before", "after"):
        values = change.get(side) or {}
        for attribute in kind.names:
            found: Any = values
            for part in attribute.split("."):
                found = found.get(part) if isinstance(found, dict) else None
            if isinstance(found, str) and found:
                return cut(shorter(found.rpartition(":")[2] if found.startswith("arn:") else found))
        if kind.names and isinstance(values.get("name_prefix"), str) and values["name_prefix"]:
            return f"{values['name_prefix']}…"
    return ""
