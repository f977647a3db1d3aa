"""The pictures of a load's report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ml.report import svg
from ops.load.latency import Latency
from ops.load.result import Moment, merged_faults

_LEFT, _WIDTH, _HEIGHT = 58, 430, 210  # px


@dataclass(frozen=True)
class Line:
    name: str
    style: str  # CSS class
    points: Sequence[tuple[float, float | None]]  # None leaves a gap


def percentile_chart(latencies: Sequence[tuple[str, str, Latency]], *, title: str) -> Markup:
    """Latency by percentile; as far from 50 to 90 % as from 90 to 99 %, and so on. Name, style and latency of each."""
    last = max(latency.curve[-1][0] for _, _, latency in latencies)
    end = max(_nines(min(last, 99.999)), 1.0)
    highest = max(value for _, _, latency in latencies for _, value in latency.curve)
    ticks = svg.round_ticks(0, highest)
    frame = svg.Frame((0, end), (0, ticks[-1]), _LEFT, 12, _WIDTH, _HEIGHT)
    parts = [svg.y_axis(frame, ticks, percent=False), _base(frame)]
    for mark in (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999):
        if _nines(mark) <= end + 1e-9:
            at, _ = frame.at(_nines(mark), 0)
            parts.append(Markup('<path class="grid" d="M{},{} v{}"/>').format(at, svg.px(frame.top), _HEIGHT))
            anchor = "end" if _nines(mark) > end - 0.1 else "middle"
            parts.append(svg.text("axis", float(at), frame.top + _HEIGHT + 14, f"{mark:g}%", anchor=anchor))
    parts.append(_heading(frame, "of the answers came within so many milliseconds"))
    for name, style, latency in latencies:
        points = [(_nines(each), value) for each, value in latency.curve]
        parts += _line(frame, Line(name, style, [(x, y) for x, y in points if x <= end + 1e-9]), dots=False)
        for percentile, value in latency.percentiles.items():
            if value is not None and _nines(float(percentile)) <= end + 1e-9:
                label = f"{name}, {percentile}%: {value:,.1f} ms"
                parts.append(svg.dot(style, frame.at(_nines(float(percentile)), value), 3.5, label))
    return svg.picture(_LEFT + _WIDTH + 12, _HEIGHT + 56, title, parts)


def time_chart(lines: Sequence[Line], seconds: float, *, title: str, unit: str) -> Markup | None:
    """Lines over the load's seconds, from 0 upwards; None where there is nothing to show."""
    values = [y for line in lines for _, y in line.points if y is not None]
    if not values:
        return None
    ticks = svg.round_ticks(0, max(*values, 1e-3) if len(values) > 1 else values[0] or 1.0)
    frame = svg.Frame((0, seconds), (0, ticks[-1]), _LEFT, 12, _WIDTH, _HEIGHT)
    times = [tick for tick in svg.round_ticks(0, seconds) if tick <= seconds]
    parts = [svg.y_axis(frame, ticks, percent=False), svg.x_axis(frame, times, "seconds")]
    for line in lines:
        parts += _line(frame, line, dots=len(line.points) <= 60, unit=unit)
    return svg.picture(_LEFT + _WIDTH + 12, _HEIGHT + 56, title, parts)


def fault_chart(moments: Sequence[Moment], seconds: float, *, title: str) -> Markup | None:
    """Failures a second, stacked by kind; None without any."""
    kinds = merged_faults(moments)
    if not kinds:
        return None
    highest = max(sum(moment.faults.values()) for moment in moments)
    ticks = svg.round_ticks(0, highest)
    frame = svg.Frame((0, seconds), (0, ticks[-1]), _LEFT, 12, _WIDTH, _HEIGHT)
    times = [tick for tick in svg.round_ticks(0, seconds) if tick <= seconds]
    parts = [svg.y_axis(frame, ticks, percent=False), svg.x_axis(frame, times, "seconds")]
    width = frame.width / len(moments)
    box = Markup('<rect class="stack s{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>')
    for index, moment in enumerate(moments):
        below = 0.0
        for place, kind in enumerate(kinds):
            rate = moment.faults.get(kind, 0.0)
            if rate:
                _, top = frame.at(0, below + rate)
                _, bottom = frame.at(0, below)
                label = f"second {moment.second:.0f}: {rate:.3g} a second, {kind}"
                parts.append(
                    box.format(
                        min(place, 4), svg.px(frame.left + index * width), top,
                        svg.px(max(1.0, width - 1)), svg.px(float(bottom) - float(top)), label,
                    )
                )  # fmt: skip
                below += rate
    return svg.picture(_LEFT + _WIDTH + 12, _HEIGHT + 56, title, parts)


def _nines(percentile: float) -> float:
    """0 at 0 %, 1 at 90 %, 2 at 99 %."""
    return -math.log10(max(1e-9, 1 - percentile / 100))


def _line(frame: svg.Frame, line: Line, *, dots: bool, unit: str = "ms") -> list[Markup]:
    parts, run = [], []
    drawn = Markup('<polyline class="line {}" points="{}"/>')
    for x, y in [*line.points, (0.0, None)]:
        if y is not None:
            run.append(frame.at(x, y))
            if dots:
                parts.append(
                    svg.dot(line.style, frame.at(x, y), 2.5, f"{line.name}, {x:.0f} s: {y:,.4g} {unit}")
                )
        elif run:
            parts.append(drawn.format(line.style, " ".join(",".join(place) for place in run)))
            run = []
    return parts


def _base(frame: svg.Frame) -> Markup:
    place = svg.px(frame.left), svg.px(frame.top + frame.height), svg.px(frame.width)
    return Markup('<path class="base" d="M{},{} h{}"/>').format(*place)


def _heading(frame: svg.Frame, name: str) -> Markup:
    return svg.text("axis heading", frame.left + frame.width / 2, frame.top + frame.height + 32, name)
