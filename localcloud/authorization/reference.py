"""What AWS's Service Authorization Reference says of actions: on which types of resources, with which ARNs.

reference.json is an excerpt for the services that the cloud knows.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("reference.json")
_PLACE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Action:
    name: str
    types: tuple[tuple[str, bool], ...]  # of resources, and whether one must be named
    needs: frozenset[str]  # further actions that it takes

    @property
    def passes_role(self) -> bool:
        return "iam:PassRole" in self.needs


@cache
def _services() -> dict[str, Any]:
    services: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))["services"]
    return services


@cache
def action(prefix: str, name: str) -> Action | None:
    entry = _services().get(prefix, {"actions": {}})["actions"].get(name)
    if entry is None:
        return None
    types = tuple((one.rstrip("*"), one.endswith("*")) for one in entry[0])
    return Action(name, types, frozenset(entry[1]) if len(entry) > 1 else frozenset())


@cache
def template(prefix: str, kind: str) -> tuple[str, tuple[str, ...]]:
    """The ARN of a type of resources, and the names of the places in it, without region and account."""
    arn = _services()[prefix]["resources"][kind]
    places = tuple(name for name in _PLACE.findall(arn) if name not in ("Region", "Account"))
    return arn, places


def fill(arn: str, values: dict[str, str]) -> str:
    return _PLACE.sub(lambda place: values.get(place[1], "*"), arn)
