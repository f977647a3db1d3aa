"""The review as one page that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup, escape

from ml.report import page
from ops.review import text
from ops.review.differences import shorter
from ops.review.review import Review
from ops.review.words import MARKS

_HERE = Path(__file__).parent


def render(review: Review) -> str:
    """Return the page."""
    shown = [change for change in review.changes if change.action != "create"]
    return page.render(
        "review.html.j2",
        folder=_HERE,
        review=review,
        header=review.header,
        changed=[change for change in shown if change.type != "terraform_data"],
        created=[change for change in review.changes if change.action == "create"],
        own=[change for change in shown if change.type == "terraform_data"],
        dangers=list(text.with_reasons(review.dangers)),
        marks=MARKS,
        notes=text.NOTES,
        modules=text.by_module(change for change in review.changes if change.action == "create"),
        origin=text.origin(review.header),
        dollars=text.dollars,
        verdict=text.verdict,
        excuse=text.excuse,
        with_code=with_code,
        shorter=shorter,
    )


def with_code(told: str) -> Markup:
    """Return a rule's words with what stands between backticks as code."""
    parts = told.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part)
        for number, part in enumerate(parts)
    )
