"""What in a plan is dangerous."""

from __future__ import annotations

from ops.review.facts import Danger, Facts


def find(_facts: Facts) -> list[Danger]:
    """Return what a reviewer has to know, the worst first."""
    return []
