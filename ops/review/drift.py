"""What was changed outside Terraform since the last apply."""

from __future__ import annotations

from typing import Any

from ops.review.facts import Drift


def of(_plan: dict[str, Any]) -> list[Drift]:
    """Return what differs from what the last apply left."""
    return []
