"""What the Terraform files say, where no plan is at hand: read with python-hcl2."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import hcl2

from ops.paths import TERRAFORM


def load(file: Path) -> dict[str, Any]:
    """Return the file as plain data; string literals come without their quotes."""
    plain: dict[str, Any] = unquoted(_parsed(file.read_text()))
    return plain


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> dict[str, Any]:
    """Parsing takes a tenth of a second a file, and a command asks for the same ones twenty times."""
    return dict(hcl2.loads(text))


def unquoted(value: Any) -> Any:
    """Take the quotes off that python-hcl2 keeps around string literals and block labels."""
    if isinstance(value, dict):
        return {unquoted(key): unquoted(entry) for key, entry in value.items() if key != "__is_block__"}
    if isinstance(value, list):
        return [unquoted(entry) for entry in value]
    if isinstance(value, str) and len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


def variables(directory: Path = TERRAFORM) -> dict[str, dict[str, Any]]:
    """Return the variables that a module declares, by name."""
    declared: dict[str, dict[str, Any]] = {}
    for file in sorted(directory.glob("*.tf")):
        for block in load(file).get("variable", []):
            declared |= block
    return declared


def value_of(name: str, variables_file: Path) -> Any:
    """Return a root variable's value in a stage: the stage's own, else the declared default."""
    stages = load(variables_file) if variables_file.is_file() else {}
    return stages[name] if name in stages else variables()[name].get("default")
