"""What a plan changes about the stage's monthly cost."""

from __future__ import annotations

from ops.review.facts import Bill, Facts


def of(_facts: Facts) -> Bill | None:
    """Return the cost before and after, and at maximal capacity; None where nothing is known of it."""
    return None
