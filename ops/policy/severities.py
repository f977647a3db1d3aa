"""How bad it is when a check of the scanner fails: checkov's free build does not say, its maker's platform does."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, get_args

from ops.review.facts import PolicySeverity

TABLE = Path(__file__).with_name("severities.toml")
ORDER: tuple[PolicySeverity, ...] = get_args(PolicySeverity)  # the worst first


@cache
def table() -> dict[str, dict[str, Any]]:
    """Return what is published of each check."""
    checks: dict[str, dict[str, Any]] = tomllib.loads(TABLE.read_text())["checks"]
    return checks


def severity(check: str) -> PolicySeverity:
    """Return the highest of the published severities; a check that the table does not know counts as high."""
    published = [
        ORDER.index(table()[check][by]) for by in ("prisma", "aws", "ours") if by in table().get(check, {})
    ]
    return ORDER[min(published)] if published else "high"


def remedy(check: str) -> str | None:
    """Return what to set here, where it is one of our variables."""
    return table().get(check, {}).get("remedy")
