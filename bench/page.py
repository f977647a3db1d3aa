"""The page of the benchmarks: what each writes into it, and how its picture looks."""

from __future__ import annotations

import re
from pathlib import Path

from markupsafe import Markup

PAGE = "benchmarks.md"
STYLE = """
svg { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
.axis { fill: #566072; } .heading { fill: #1b2330; font-weight: 600; } .value { fill: #1b2330; }
.bar { fill: #2458c5; } .bar.quiet { fill: #8a94a6; } .base { stroke: #8a94a6; fill: none; }
@media (prefers-color-scheme: dark) {
  .axis { fill: #a0abbb; } .heading, .value { fill: #e7ebf1; } .bar { fill: #82aaff; } .bar.quiet { fill: #66728a; }
}
"""


def put(docs: Path, begin: str, end: str, body: str, picture: str, drawn: Markup) -> None:
    """Put the body between its marks in the page, and the picture beside it."""
    page = docs / PAGE
    text = page.read_text("utf-8")
    found = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(found.findall(text)) != 1:
        raise ValueError(f"{PAGE} must have the marks {begin} and {end} once.")
    page.write_text(found.sub(lambda _: f"{begin}\n\n{body}\n\n{end}", text), "utf-8")
    svg = str(drawn).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    (docs / picture).write_text(svg + "\n", "utf-8")
