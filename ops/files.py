"""Files that are whole or not there: a kill in the middle of a write leaves the old one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write(path: Path, text: str) -> None:
    """Write the file aside and put it in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text)
    fresh.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write the value as JSON, aside first."""
    write(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Return what the file holds, or None where there is none, or it is damaged."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
