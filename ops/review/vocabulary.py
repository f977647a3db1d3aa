"""What the types of resources and their attributes are called by people who know them: vocabulary.toml."""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).with_name("vocabulary.toml")


@dataclass(frozen=True)
class Kind:
    """A type of resource."""

    noun: str
    gone: str = ""  # what it means that one is deleted
    comes: str = ""  # what it means that there is a new one
    names: list[str] = field(default_factory=lambda: ["name"])  # attributes that it is called by
    quiet: list[str] = field(default_factory=list)  # attributes that say nothing
    words: dict[str, str] = field(default_factory=dict)  # attribute -> label, or a sentence


@functools.cache
def kinds() -> dict[str, Kind]:
    """Return the known types by their names; Terraform's own by theirs, too."""
    return {name: Kind(**entry) for name, entry in tomllib.loads(_TABLE.read_text()).items()}


def kind_of(entry: dict[str, Any]) -> Kind:
    """Return what an entry of `resource_changes` is called; a type without words by its own name."""
    known = kinds().get(entry["type"]) or kinds().get(f"{entry['type']}.{entry.get('name')}")
    return known or Kind(humanized(entry["type"].removeprefix("aws_")))


def rank(type_: str) -> int:
    """Return how early a type is told among others: what serves comes before what it stands on."""
    return list(kinds()).index(type_) if type_ in kinds() else len(kinds())


def humanized(name: str) -> str:
    """Return an attribute's or type's name as words."""
    return re.sub(r"(?<=[a-z])[A-Z]", lambda found: f" {found[0].lower()}", name.replace("_", " ")).strip()
