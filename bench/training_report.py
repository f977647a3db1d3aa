"""Table and picture of the training benchmark."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from bench.page import STYLE, put
from ml.report import svg

PICTURE = "bench-training.svg"
BEGIN, END = "<!-- training: written by bench/training.py -->", "<!-- training ends -->"
_LEFT, _WIDTH, _ROW = 190, 330, 30  # px


def table(result: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    ours = result["kennel"]
    rows = [
        "| | Photos/s, one pass | Kennel is faster by | target | "
        f"{result['trials']} trials × {result['epochs']} epochs | Kennel is faster by | target |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for each in result["baselines"]:
        rows.append(
            f"| {each['name']} | {each['rate']:.1f} | {each['extraction_ratio']:.1f} × "
            f"| {each['extraction_target']:g} × | {_time(each['tuning_seconds'])} "
            f"| {each['tuning_ratio']:.0f} × | {each['tuning_target']:g} × |"
        )
    rows.append(
        f"| **Kennel** ({ours['precision']}) | **{ours['rate']:.1f}** | | | **{_time(ours['tuning_seconds'])}** | | |"
    )
    if result["accuracy"]:
        rows += ["", "| Accuracy on the test split, trained to the end | replaced script | Kennel |"]
        rows += ["| --- | ---: | ---: |"]
        for backbone, each in result["accuracy"].items():
            rows.append(f"| {backbone} | {each['replaced']:.1%} | {each['kennel']:.1%} |")
    return "\n".join(rows)


def conditions(result: Mapping[str, Any]) -> str:
    """How it was measured, as a paragraph of Markdown."""
    counts = result["counts"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    share = result["share"]
    part = "" if share >= 1 else f" The replaced script ran on every {round(1 / share)}th photo."
    loads = result["load"]
    ours, photos = result["kennel"], sum(counts.values())
    quantizing = ours["quantization_seconds"]
    with_it = photos / (photos / ours["rate"] + quantizing)
    once = f" Quantization takes {quantizing:.1f} s, once: a first pass with it makes {with_it:.1f} photos/s."
    return (
        f"{result['date']}, {result['machine']}; {versions}. {result['backbone']}, "
        f"{photos:,} photos of {result['classes']} classes "
        f"({', '.join(f'{count} {split}' for split, count in counts.items())}), batches of "
        f"{result['batch_size']}; medians of {result['rounds']} rounds.{part}{once if quantizing else ''} "
        f"The machine's load was {min(loads):.1f} to {max(loads):.1f} meanwhile."
    )


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def picture(result: Mapping[str, Any]) -> Markup:
    """Two groups of bars: photos a second, and the time that tuning takes, whose scale is logarithmic."""
    ours = result["kennel"]
    sides = [(each["name"], each["rate"], each["tuning_seconds"]) for each in result["baselines"]]
    sides.append(("Kennel", ours["rate"], ours["tuning_seconds"]))
    parts = [Markup("<style>{}</style>").format(Markup(STYLE))]  # noqa: S704 - our own text
    fastest = max(rate for _, rate, _ in sides)
    parts += _bars(
        18,
        "Features, photos a second (longer is better)",
        [(name, rate / fastest, f"{rate:.0f}") for name, rate, _ in sides],
    )
    longest = max(seconds for _, _, seconds in sides)
    parts += _bars(
        62 + _ROW * len(sides),
        f"{result['trials']} trials of {result['epochs']} epochs (shorter is better, logarithmic)",
        [(name, math.log(max(s, 1.01)) / math.log(longest), _time(s)) for name, _, s in sides],
    )
    title = "Kennel against the training script that it replaces"
    return svg.picture(_LEFT + _WIDTH + 80, 92 + 2 * _ROW * len(sides), title, parts, fixed=True)


def _bars(top: float, heading: str, bars: list[tuple[str, float, str]]) -> list[Markup]:
    parts = [svg.text("heading", 8, top, heading, anchor="start", font=14)]
    box = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="2"/>')
    for row, (name, length, label) in enumerate(bars):
        y = top + 18 + row * _ROW
        style = "bar" if name == "Kennel" else "bar quiet"
        width = max(2.0, length * _WIDTH)
        parts.append(svg.text("axis", _LEFT - 10, y + 10, name, anchor="end", font=13))
        parts.append(box.format(style, _LEFT, svg.px(y), svg.px(width), 20))
        parts.append(svg.text("value", _LEFT + width + 8, y + 10, label, anchor="start", font=13))
    return parts


def write(result: Mapping[str, Any], docs: Path) -> None:
    """Put table and conditions between their marks in the page, and the picture beside it."""
    image = f"![Photos a second and time of tuning, replaced script and Kennel]({PICTURE})"
    put(docs, BEGIN, END, f"{table(result)}\n\n{image}\n\n{conditions(result)}", PICTURE, picture(result))
