"""One HTML page, all in one file: no external asset, and no script but the one that it came with."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_HERE = Path(__file__).parent


def write(path: Path, text: str) -> None:
    """Writes the page to `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def render(template: str, *, folder: Path = _HERE, **values: Any) -> str:
    """Fills in a template of `folder`; those that lie here can be included in it."""
    templates = Environment(
        loader=FileSystemLoader([folder, _HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["percent"] = lambda value: f"{value:.1%}"
    templates.filters["breakable"] = breakable
    script = (_HERE / "sort.js").read_text(encoding="utf-8")
    return templates.get_template(template).render(
        **values,
        script=script,
        # The browser runs this script and no other, should a name ever slip through unescaped.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def breakable(name: str) -> Markup:
    """Lets a long name wrap where people would break it."""
    return Markup("<wbr>").join(re.split(r"(?<=[_/-])|(?<=[a-z]\.)", name))


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested names with dots, and values as text."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, default=str)
