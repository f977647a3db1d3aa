"""The report's pictures as inline SVG, coloured by the page's style sheet: they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ml.evaluate import Evaluation, ReliabilityBin

_MAX_LABEL = 26  # characters of a class name beside the confusion matrix
_CHAR = 0.56  # mean width of a character, in font sizes


@dataclass(frozen=True)
class Series:
    name: str
    style: str  # CSS class
    points: Sequence[tuple[float, float | None]]  # None leaves a gap


@dataclass(frozen=True)
class _Frame:
    """Maps data to the plot's pixels; y grows upwards in the data, downwards on the page."""

    x: tuple[float, float]
    y: tuple[float, float]
    left: float
    top: float
    width: float
    height: float

    def at(self, x: float, y: float) -> tuple[str, str]:
        right = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return _px(self.left + right * self.width), _px(self.top + (1 - up) * self.height)


def line_chart(series: Sequence[Series], *, title: str, percent: bool = False) -> Markup | None:
    """Lines over the epochs; None where there is no point to show."""
    shown = [(x, y) for each in series for x, y in each.points if y is not None]
    if not shown:
        return None
    first, last = min(x for x, _ in shown), max(x for x, _ in shown)
    if first == last:
        first, last = first - 1, last + 1
    heights = [y for _, y in shown]
    ticks = _ticks(min(heights), max(heights))
    frame = _Frame((first, last), (ticks[0], ticks[-1]), left=50, top=12, width=418, height=220)
    epochs = [x for x in _ticks(first, last, whole=True) if first <= x <= last]
    parts = [_y_axis(frame, ticks, percent), _x_axis(frame, epochs, "epoch")]
    for each in series:
        for run in _runs(each.points):
            places = [frame.at(x, y) for x, y in run]
            line = Markup('<polyline class="line {}" points="{}"/>')
            parts.append(line.format(each.style, " ".join(",".join(place) for place in places)))
            for (x, y), place in zip(run, places, strict=True):
                label = (
                    f"{each.name}, epoch {x:g}: {y:.1%}" if percent else f"{each.name}, epoch {x:g}: {y:.4g}"
                )
                parts.append(_dot(each.style, place, 3 if len(run) <= 40 else 1.5, label))
    return _svg(480, 276, title, parts)


def reliability_chart(bins: Sequence[ReliabilityBin], *, title: str) -> Markup:
    """How often a prediction of a given probability is right, and below it how many there are of it."""
    total = sum(each.count for each in bins)
    frame = _Frame((0, 1), (0, 1), left=50, top=12, width=418, height=260)
    below = _Frame((0, 1), (0, max(each.count for each in bins)), left=50, top=310, width=418, height=56)
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    parts = [
        _y_axis(frame, ticks, percent=True),
        _x_axis(below, ticks, "probability of the prediction", True),
    ]
    for each in bins:
        if each.accuracy is not None and each.confidence is not None:
            label = (
                f"probability {each.lower:.0%} to {each.upper:.0%}: {each.count:,} of {total:,} photos, "
                f"{each.accuracy:.1%} right, mean probability {each.confidence:.1%}"
            )
            parts.append(_bar(frame, each, each.accuracy, "bar", label))
            parts.append(_bar(below, each, each.count, "bar quiet", label))
            parts.append(_dot("mean", frame.at(each.confidence, each.accuracy), 3.5, label))
    ideal = Markup('<path class="ideal" d="M{},{} L{},{}"/>')
    parts.append(ideal.format(*frame.at(0, 0), *frame.at(1, 1)))
    parts.append(_text("axis", 50, 300, "photos", anchor="start"))
    return _svg(480, 408, title, parts)


def confusion_chart(evaluation: Evaluation, *, title: str) -> Markup:
    """True classes down, predicted ones across; a cell is as strong as its share of the true class."""
    count = len(evaluation.classes)
    cell, font = (42, 13) if count <= 16 else (26, 11) if count <= 40 else (14, 10)  # px
    longest = max(len(shorten(name)) for name in evaluation.classes) * _CHAR * font + 16
    left, top, size = max(longest, 120), max(longest, 46), count * cell  # the corner names the axes
    ground = Markup('<rect class="ground" x="{}" y="{}" width="{}" height="{}"/>')
    parts = [ground.format(_px(left), _px(top), size, size)]
    for row, counts in enumerate(evaluation.confusion):
        for column, photos in enumerate(counts):
            if photos:
                share = photos / sum(counts)
                label = (
                    f"{photos:,} of {sum(counts):,} photos of {evaluation.classes[row]} "
                    f"predicted {evaluation.classes[column]}"
                )
                box = Markup(
                    '<rect class="cell {}" x="{}" y="{}" width="{}" height="{}" fill-opacity="{}">'
                    "<title>{}</title></rect>"
                )
                x, y = left + column * cell, top + row * cell
                style = "right" if row == column else "wrong"
                parts.append(
                    box.format(style, _px(x), _px(y), cell, cell, f"{0.15 + 0.85 * share:.3f}", label)
                )
                if count <= 40:
                    style = "value strong" if share > 0.6 else "value"
                    parts.append(_text(style, x + cell / 2, y + cell / 2, f"{photos}", font=font))
    for i in range(0, count + 1, 1 if count <= 40 else 10):
        grid = Markup('<path class="grid" d="M{},{} h{} M{},{} v{}"/>')
        at = i * cell
        parts.append(grid.format(_px(left), _px(top + at), size, _px(left + at), _px(top), size))
    for i, name in enumerate(evaluation.classes):
        middle, label = (i + 0.5) * cell, shorten(name)
        parts.append(_text("axis", left - 6, top + middle, label, anchor="end", font=font, hint=name))
        parts.append(
            _text("axis", left + middle, top - 6, label, anchor="start", font=font, hint=name, turn=True)
        )
    parts.append(_text("axis heading", 4, 12, "predicted class →", anchor="start"))
    parts.append(_text("axis heading", 4, 30, "true class ↓", anchor="start"))
    return _svg(left + size + 4, top + size + 4, title, parts, fixed=True)


def shorten(name: str) -> str:
    return name if len(name) <= _MAX_LABEL else name[: _MAX_LABEL - 1] + "…"


def _svg(width: float, height: float, title: str, parts: Sequence[Markup], fixed: bool = False) -> Markup:
    """`fixed` pictures keep their size and are scrolled, others fill the width there is."""
    size = Markup(' width="{}" height="{}"').format(_px(width), _px(height)) if fixed else ""
    start = Markup('<svg viewBox="0 0 {} {}"{} role="img" aria-label="{}">')
    return start.format(_px(width), _px(height), size, title) + Markup("\n").join(parts) + Markup("</svg>")


def _y_axis(frame: _Frame, ticks: Sequence[float], percent: bool) -> Markup:
    parts = []
    digits = _digits(ticks[1] - ticks[0], percent)
    for tick in ticks:
        left, y = frame.at(frame.x[0], tick)
        parts.append(Markup('<path class="grid" d="M{},{} h{}"/>').format(left, y, _px(frame.width)))
        label = f"{tick:.{digits}%}" if percent else f"{tick:.{digits}f}"
        parts.append(_text("axis", frame.left - 8, float(y), label, anchor="end"))
    return Markup("\n").join(parts)


def _x_axis(frame: _Frame, ticks: Sequence[float], name: str, percent: bool = False) -> Markup:
    bottom = frame.top + frame.height
    parts = [
        Markup('<path class="base" d="M{},{} h{}"/>').format(_px(frame.left), _px(bottom), _px(frame.width))
    ]
    for tick in ticks:
        x, _ = frame.at(tick, frame.y[0])
        anchor = "end" if tick == ticks[-1] and tick == frame.x[1] else "middle"
        parts.append(
            _text("axis", float(x), bottom + 14, f"{tick:.0%}" if percent else f"{tick:g}", anchor=anchor)
        )
    parts.append(_text("axis heading", frame.left + frame.width / 2, bottom + 32, name))
    return Markup("\n").join(parts)


def _bar(frame: _Frame, each: ReliabilityBin, height: float, style: str, label: str) -> Markup:
    left, top = map(float, frame.at(each.lower, height))
    right, bottom = map(float, frame.at(each.upper, 0))
    box = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>')
    return box.format(style, _px(left + 1), _px(top), _px(right - left - 2), _px(bottom - top), label)


def _dot(style: str, place: tuple[str, str], radius: float, label: str) -> Markup:
    circle = Markup('<circle class="dot {}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>')
    return circle.format(style, *place, radius, label)


def _text(
    style: str,
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "middle",
    font: int = 12,  # px
    hint: str = "",
    turn: bool = False,
) -> Markup:
    title = Markup("<title>{}</title>").format(hint) if hint != text and hint else ""
    turned = Markup('transform="translate({} {}) rotate(-90)"')
    place = (turned if turn else Markup('x="{}" y="{}"')).format(_px(x), _px(y))
    tag = Markup('<text class="{}" font-size="{}" text-anchor="{}" dy=".35em" {}>{}{}</text>')
    return tag.format(style, font, anchor, place, text, title)


def _runs(points: Sequence[tuple[float, float | None]]) -> Iterator[list[tuple[float, float]]]:
    """The stretches without a gap."""
    run: list[tuple[float, float]] = []
    for x, y in [*points, (0.0, None)]:
        if y is not None:
            run.append((x, y))
        elif run:
            yield run
            run = []


def _ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Four to eight round numbers, the first at or below `low`, the last at or above `high`."""
    span = high - low or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 5))
    step = next(factor * power for factor in (1, 2, 5, 10) if span / (factor * power) <= 6)
    if whole:
        step = max(1.0, round(step))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, max(last, first + 1) + 1)]


def _digits(step: float, percent: bool) -> int:
    return max(0, -math.floor(math.log10(step) + 1e-9) - (2 if percent else 0))


def _px(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
