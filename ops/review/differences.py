"""What differs between a resource before and after, attribute by attribute, without the noise of a provider."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# Computed by the provider or AWS, and told by what they are computed from.
NOISE = {
    "id", "arn", "tags_all", "unique_id", "create_date", "last_modified", "qualified_arn", "invoke_arn", "owner_id",
    "qualified_invoke_arn", "source_code_size", "code_sha256", "etag", "version_id", "function_url", "url_id",
    "security_group_rule_id", "dashboard_arn", "alarm_arns", "primary_network_interface_id", "name_prefix",
}  # fmt: skip
LONGEST = 64  # letters of a value that is told

_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{28,52}\b")
_ARN = re.compile(r"arn:[\w-]+:[\w-]+:[\w-]*:\d*:(\S+)")


@dataclass(frozen=True)
class Difference:
    """One attribute that differs; its path is without indices, such as production_variants.instance_type."""

    path: str
    before: Any
    after: Any
    unknown: bool = False  # after the apply only
    document: bool = False  # JSON, or a script: too long to tell


def of(change: dict[str, Any]) -> list[Difference]:
    """Return what differs in one `change` of a plan; what is unknown after the apply last."""
    before, after = change.get("before") or {}, change.get("after") or {}
    found = [
        difference
        for name in sorted({*before, *after, *_unknown_names(change)} - NOISE)
        for difference in _differ(
            name, before.get(name), after.get(name), _below(change.get("after_unknown"), name)
        )
    ]
    found += _inherited_tags(before, after, {difference.path for difference in found})
    return sorted(_once(found), key=lambda each: each.unknown)


def shown(value: Any) -> str:
    """Return a value as short as it says what it is."""
    if value in (None, "", [], {}):
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list):
        return cut(", ".join(shown(each) for each in value))
    if isinstance(value, dict):
        return cut(", ".join(f"{name} {shown(each)}" for name, each in value.items() if not empty(each)))
    text = _ARN.sub(r"\1", shorter(str(value)))
    if text.startswith("s3://") and len(text) > LONGEST:
        text = "s3://…/" + "/".join(text.split("/")[-3:])
    return cut(text)


def shorter(text: str) -> str:
    """Return text with its digests cut to what they are known by."""
    return _DIGEST.sub(r"\1…", text)


def cut(text: str, longest: int = LONGEST) -> str:
    """Return one line of at most so many letters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def empty(value: Any) -> bool:
    """Tell whether a value is none, however the provider writes that."""
    return value is None or value is False or (value in ("", [], {}) and not isinstance(value, int))


def _nothing(value: Any) -> bool:
    """Tell whether it is none, or the 0 that the provider writes for a number that nobody gave."""
    return empty(value) or value == 0


def _differ(path: str, before: Any, after: Any, unknown: Any) -> Iterator[Difference]:
    if unknown is True:
        yield Difference(path, before, None, unknown=True)
    elif isinstance(before, dict) or isinstance(after, dict):
        before, after = before or {}, after or {}
        unknown_names = set(unknown) if isinstance(unknown, dict) else set()
        for name in sorted({*before, *after, *unknown_names}):
            yield from _differ(f"{path}.{name}", before.get(name), after.get(name), _below(unknown, name))
    elif _has_blocks(before) or _has_blocks(after):
        yield from _blocks(path, before or [], after or [], unknown)
    elif before == after or (_nothing(before) and _nothing(after)):
        return
    elif path == "template_body" and isinstance(_parsed(before), dict) and isinstance(_parsed(after), dict):
        yield from _differ(path, _parsed(before), _parsed(after), None)
    elif _is_document(before) or _is_document(after):
        if _parsed(before) != _parsed(after) or _parsed(before) is None:
            yield Difference(path, None, None, document=True)
    else:
        yield Difference(path, before, after)


def _inherited_tags(before: dict[str, Any], after: dict[str, Any], told: set[str]) -> Iterator[Difference]:
    """Yield the tags that the provider gives to all."""
    for difference in _differ("tags", before.get("tags_all") or {}, after.get("tags_all") or {}, None):
        if difference.path not in told and after.get("tags_all"):
            yield difference


def _blocks(path: str, before: list[Any], after: list[Any], unknown: Any) -> Iterator[Difference]:
    """Pair blocks in their order, but for those that are there before and after."""
    if len(before) != len(after):
        before, after = [x for x in before if x not in after], [x for x in after if x not in before]
        unknown = None
    for number in range(max(len(before), len(after))):
        old = before[number] if number < len(before) else None
        new = after[number] if number < len(after) else None
        if old is None or new is None:
            if not empty(_pruned(old if new is None else new)):
                yield Difference(path, _pruned(old), _pruned(new))
        else:
            yield from _differ(path, old, new, _at(unknown, number))


def _pruned(value: Any) -> Any:
    """Return a block without what is none in it."""
    if isinstance(value, dict):
        return {name: _pruned(each) for name, each in value.items() if not empty(_pruned(each))}
    if isinstance(value, list):
        return [_pruned(each) for each in value if not empty(_pruned(each))]
    return value


def _once(found: list[Difference]) -> list[Difference]:
    unique: list[Difference] = []
    for difference in found:
        if difference not in unique:
            unique.append(difference)
    return unique


def _unknown_names(change: dict[str, Any]) -> set[str]:
    unknown = change.get("after_unknown")
    return {name for name, each in unknown.items() if each is True} if isinstance(unknown, dict) else set()


def _below(unknown: Any, name: str) -> Any:
    return unknown.get(name) if isinstance(unknown, dict) else None


def _at(unknown: Any, number: int) -> Any:
    return unknown[number] if isinstance(unknown, list) and number < len(unknown) else None


def _has_blocks(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(each, dict) for each in value)


def _is_document(value: Any) -> bool:
    return isinstance(value, str) and ((value[:1] in "{[" and len(value) > 1) or "\n" in value)


def _parsed(value: Any) -> Any:
    try:
        return json.loads(value or "null")
    except ValueError:
        return value
