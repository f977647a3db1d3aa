"""Writes the part of docs/review.md that lists what is flagged, out of the rules."""

from __future__ import annotations

import re

from ops.paths import ROOT
from ops.review.dangers import rules

PAGE = ROOT / "docs" / "review.md"
BEGIN, END = "<!-- What is flagged: made by ./inv docs -->", "<!-- end -->"
SEVERITIES = {
    "danger": "Dangers, which need an approval",
    "warning": "Warnings",
    "note": "Notes",
}


def page() -> str:
    """Return the page with the rules as they are.

    Raises:
        ValueError: it has no place for them.
    """
    before, begin, rest = PAGE.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no {BEGIN} or no {END} after it")
    return f"{before}{begin}\n\n{_rules()}\n{end}{after}"


def _rules() -> str:
    parts = []
    for severity, title in SEVERITIES.items():
        parts += [f"### {title}", "", "| Rule | When | Why | Remedy |", "|---|---|---|---|"]
        parts += [
            f"| `{rule.id}` | {_sentence(rule.when)} | {_cell(rule.why)} | {_cell(rule.remedy)} |"
            for rule in rules()
            if rule.severity == severity
        ]
        parts.append("")
    return "\n".join(parts)


def _sentence(text: str) -> str:
    return _cell(text[0].upper() + text[1:])


def _cell(text: str) -> str:
    return re.sub(r"<(\w+)>", r"&lt;\1&gt;", text).replace("|", "\\|")
