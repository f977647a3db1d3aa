"""The pictures of a simulation, as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from markupsafe import Markup

from ml.report import svg
from ops.simulate import tables
from ops.simulate.queueing import Numbers
from ops.simulate.replay import STEP, Replay

_LEFT, _WIDTH, _RIGHT = 64, 880, 16  # px
_POINTS = 440  # of a line: two pixels each
STYLE = """
svg { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
.axis { fill: #566072; } .heading { fill: #1b2330; font-weight: 600; } .value { fill: #1b2330; }
.grid { stroke: #dfe3ea; fill: none; } .base { stroke: #8a94a6; fill: none; }
.demand { fill: #2458c5; fill-opacity: .28; stroke: #2458c5; stroke-width: 1; }
.capacity { fill: none; stroke: #a8500a; stroke-width: 2; }
.pending { fill: none; stroke: #a8500a; stroke-dasharray: 3 3; }
.overload { fill: #b3261e; fill-opacity: .22; } .latency { fill: none; stroke: #2458c5; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) {
  .axis { fill: #a0abbb; } .heading, .value { fill: #e7ebf1; } .grid { stroke: #2e3948; } .base { stroke: #66728a; }
  .demand { fill: #82aaff; stroke: #82aaff; } .capacity, .pending { stroke: #f2ad6d; } .overload { fill: #ff9086; }
  .latency { stroke: #82aaff; }
}
"""


def panels(found: Replay, title: str) -> Markup:
    """One policy: demand and capacity, instances, latency; one below the other."""
    parts = [*_demand(found, 34, 210), *_instances(found, 292, 70), *_latency(found, 410, 96)]
    parts.append(_times(found.seconds, 506))
    return svg.picture(_LEFT + _WIDTH + _RIGHT, 546, title, parts)


def rows(found: Sequence[Replay], title: str) -> Markup:
    """Policies one below the other on the same axes."""
    height, parts = 128, []
    top = max(float(found[0].rates.max()), *(_most(each) for each in found))
    for number, each in enumerate(found):
        parts += _demand(each, 30 + number * height, 78, top)
    bottom = 30 + (len(found) - 1) * height + 78
    parts.append(_times(found[0].seconds, bottom))
    return svg.picture(_LEFT + _WIDTH + _RIGHT, bottom + 40, title, parts)


def standalone(picture: Markup) -> str:
    """Return the picture as a file of its own, with its colours."""
    style = Markup("<style>{}</style>").format(Markup(STYLE))  # noqa: S704 - our own text
    text = str(picture).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    head, close, rest = text.partition(">")
    return f"{head}{close}{style}{rest}\n"


def _most(found: Replay) -> float:
    return float(found.serving.max()) * found.instance.capacity


def _demand(found: Replay, top: float, height: float, most: float | None = None) -> list[Markup]:
    ticks = svg.round_ticks(0, max(most or 0.0, float(found.rates.max()), _most(found), 0.1))
    if height < 100:
        ticks = [ticks[0], ticks[-1]]
    frame = svg.Frame((0, found.seconds), (0, ticks[-1]), _LEFT, top, _WIDTH, height)
    parts = [_ticks(frame, [(tick, f"{tick:g}") for tick in ticks])]
    if most is None:
        parts.append(svg.text("heading", _LEFT, top - 18, "Requests a second", anchor="start", font=14))
        told = "blue: demand; orange: what the instances in service can answer; red: overload"
        parts.append(svg.text("axis", _LEFT + _WIDTH, top - 18, told, anchor="end"))
    else:
        parts.append(svg.text("heading", _LEFT, top - 14, found.name, anchor="start", font=14))
        told = (
            f"{tables.usd(found.monthly_cost)} a month · p99 {tables.milliseconds(found.latency(0.99))} · "
            f"{tables.share(found.dropped)} refused"
        )
        parts.append(svg.text("value", _LEFT + _WIDTH, top - 14, told, anchor="end", font=13))
    parts += [_band(frame, each.began, each.seconds) for each in found.overloads]
    times, tops = _thinned(found.rates)
    points = [
        frame.at(0, 0),
        *(frame.at(x, y) for x, y in zip(times, tops, strict=True)),
        frame.at(found.seconds, 0),
    ]
    parts.append(Markup('<polygon class="demand" points="{}"/>').format(_joined(points)))
    parts.append(_steps(frame, found.serving * found.instance.capacity, "capacity"))
    return parts


def _instances(found: Replay, top: float, height: float) -> list[Markup]:
    every = svg.round_ticks(0, max(1.0, float(found.paid.max())), whole=True)
    ticks = every if len(every) <= 4 else [every[0], every[-1]]
    frame = svg.Frame((0, found.seconds), (0, ticks[-1]), _LEFT, top, _WIDTH, height)
    return [
        svg.text("heading", _LEFT, top - 16, "Instances", anchor="start", font=14),
        svg.text("axis", _LEFT + _WIDTH, top - 16, "dashed: paid for, and still starting", anchor="end"),
        _ticks(frame, [(tick, f"{tick:g}") for tick in ticks]),
        _steps(frame, found.paid, "pending"),
        _steps(frame, found.serving, "capacity"),
    ]


def _latency(found: Replay, top: float, height: float) -> list[Markup]:
    """On a logarithmic axis: overload is some hundred times as slow."""
    values = np.log10(np.maximum(found.p99, 1e-4) * 1000)
    low, high = (
        math.floor(float(values.min())),
        max(math.ceil(float(values.max())), math.floor(float(values.min())) + 1),
    )
    frame = svg.Frame((0, found.seconds), (low, high), _LEFT, top, _WIDTH, height)
    times, tops = _thinned(values)
    points = _joined([frame.at(x, y) for x, y in zip(times, tops, strict=True)])
    return [
        svg.text(
            "heading", _LEFT, top - 16, "Latency, 99 of 100 requests are faster", anchor="start", font=14
        ),
        svg.text("axis", _LEFT + _WIDTH, top - 16, "an estimate; logarithmic", anchor="end"),
        _ticks(frame, [(power, tables.milliseconds(10.0 ** (power - 3))) for power in range(low, high + 1)]),
        Markup('<polyline class="latency" points="{}"/>').format(points),
    ]


def _ticks(frame: svg.Frame, ticks: Sequence[tuple[float, str]]) -> Markup:
    parts = []
    for tick, label in ticks:
        left, y = frame.at(0, tick)
        parts.append(Markup('<path class="grid" d="M{},{} h{}"/>').format(left, y, svg.px(frame.width)))
        parts.append(svg.text("axis", frame.left - 8, float(y), label, anchor="end"))
    return Markup("\n").join(parts)


def _times(seconds: float, bottom: float) -> Markup:
    """Hours, days or minutes, whichever are few enough."""
    unit, name = next(
        (unit, name)
        for unit, name in ((60.0, "minutes"), (3600.0, "hours"), (86400.0, "days"))
        if seconds / unit <= 100 or unit == 86400.0
    )
    total = seconds / unit
    step = next((step for step in (1, 2, 3, 5, 6, 10, 12, 15, 20) if total / step <= 13), 20)
    parts = [Markup('<path class="base" d="M{},{} h{}"/>').format(_LEFT, svg.px(bottom), _WIDTH)]
    for i in range(int(total / step + 1e-9) + 1):
        x = _LEFT + i * step / total * _WIDTH
        parts.append(svg.text("axis", x, bottom + 14, f"{i * step}"))
    parts.append(svg.text("axis", _LEFT + _WIDTH / 2, bottom + 31, name))
    return Markup("\n").join(parts)


def _band(frame: svg.Frame, began: float, seconds: float) -> Markup:
    left, top = map(float, frame.at(began, frame.y[1]))
    right, _ = map(float, frame.at(began + seconds, 0))
    box = Markup('<rect class="overload" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>')
    told = f"overload for {tables.duration(seconds)}"
    return box.format(svg.px(left), svg.px(top), svg.px(max(1.0, right - left)), svg.px(frame.height), told)


def _steps(frame: svg.Frame, values: Numbers, style: str) -> Markup:
    """A line that goes only across and up or down."""
    changes = [0, *(np.flatnonzero(np.diff(values)) + 1)]
    points = []
    for first, end in zip(changes, [*changes[1:], len(values)], strict=True):
        points += [frame.at(first * STEP, float(values[first])), frame.at(end * STEP, float(values[first]))]
    return Markup('<polyline class="{}" points="{}"/>').format(style, _joined(points))


def _thinned(values: Numbers) -> tuple[list[float], list[float]]:
    """The largest value of each stretch, in its middle."""
    edges = np.linspace(0, len(values), min(_POINTS, len(values)) + 1).astype(int)
    tops = [float(values[a:b].max()) for a, b in pairwise(edges)]
    times = [float(a + b) / 2 * STEP for a, b in pairwise(edges)]
    times[0], times[-1] = 0.0, len(values) * STEP
    return times, tops


def _joined(points: Sequence[tuple[str, str]]) -> str:
    return " ".join(",".join(point) for point in points)
