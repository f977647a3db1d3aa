"""The pictures of a training run's report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ml.evaluate import Evaluation, ReliabilityBin
from ml.report import svg

_MAX_LABEL = 26  # characters of a class name beside the confusion matrix
_CHAR = 0.56  # mean width of a character, in font sizes


@dataclass(frozen=True)
class Series:
    name: str
    style: str  # CSS class
    points: Sequence[tuple[float, float | None]]  # None leaves a gap


def line_chart(series: Sequence[Series], *, title: str, percent: bool = False) -> Markup | None:
    """Lines over the epochs; None where there is no point to show."""
    shown = [(x, y) for each in series for x, y in each.points if y is not None]
    if not shown:
        return None
    first, last = min(x for x, _ in shown), max(x for x, _ in shown)
    if first == last:
        first, last = first - 1, last + 1
    heights = [y for _, y in shown]
    ticks = svg.round_ticks(min(heights), max(heights))
    frame = svg.Frame((first, last), (ticks[0], ticks[-1]), left=50, top=12, width=418, height=220)
    epochs = [x for x in svg.round_ticks(first, last, whole=True) if first <= x <= last]
    parts = [svg.y_axis(frame, ticks, percent), svg.x_axis(frame, epochs, "epoch")]
    for each in series:
        for run in _runs(each.points):
            places = [frame.at(x, y) for x, y in run]
            line = Markup('<polyline class="line {}" points="{}"/>')
            parts.append(line.format(each.style, " ".join(",".join(place) for place in places)))
            for (x, y), place in zip(run, places, strict=True):
                label = (
                    f"{each.name}, epoch {x:g}: {y:.1%}" if percent else f"{each.name}, epoch {x:g}: {y:.4g}"
                )
                parts.append(svg.dot(each.style, place, 3 if len(run) <= 40 else 1.5, label))
    return svg.picture(480, 276, title, parts)


def reliability_chart(bins: Sequence[ReliabilityBin], *, title: str) -> Markup:
    """How often a prediction of a given probability is right, and below it how many there are of it."""
    total = sum(each.count for each in bins)
    frame = svg.Frame((0, 1), (0, 1), left=50, top=12, width=418, height=260)
    below = svg.Frame((0, 1), (0, max(each.count for each in bins)), left=50, top=310, width=418, height=56)
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    parts = [
        svg.y_axis(frame, ticks, percent=True),
        svg.x_axis(below, ticks, "probability of the prediction", True),
    ]
    for each in bins:
        if each.accuracy is not None and each.confidence is not None:
            label = (
                f"probability {each.lower:.0%} to {each.upper:.0%}: {each.count:,} of {total:,} photos, "
                f"{each.accuracy:.1%} right, mean probability {each.confidence:.1%}"
            )
            parts.append(_bar(frame, each, each.accuracy, "bar", label))
            parts.append(_bar(below, each, each.count, "bar quiet", label))
            parts.append(svg.dot("mean", frame.at(each.confidence, each.accuracy), 3.5, label))
    ideal = Markup('<path class="ideal" d="M{},{} L{},{}"/>')
    parts.append(ideal.format(*frame.at(0, 0), *frame.at(1, 1)))
    parts.append(svg.text("axis", 50, 300, "photos", anchor="start"))
    return svg.picture(480, 408, title, parts)


def confusion_chart(evaluation: Evaluation, *, title: str) -> Markup:
    """True classes down, predicted ones across; a cell is as strong as its share of the true class."""
    count = len(evaluation.classes)
    cell, font = (42, 13) if count <= 16 else (26, 11) if count <= 40 else (14, 10)  # px
    longest = max(len(shorten(name)) for name in evaluation.classes) * _CHAR * font + 16
    left, top, size = max(longest, 120), max(longest, 46), count * cell  # the corner names the axes
    ground = Markup('<rect class="ground" x="{}" y="{}" width="{}" height="{}"/>')
    parts = [ground.format(svg.px(left), svg.px(top), size, size)]
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
                    box.format(style, svg.px(x), svg.px(y), cell, cell, f"{0.15 + 0.85 * share:.3f}", label)
                )
                if count <= 40:
                    style = "value strong" if share > 0.6 else "value"
                    parts.append(svg.text(style, x + cell / 2, y + cell / 2, f"{photos}", font=font))
    for i in range(0, count + 1, 1 if count <= 40 else 10):
        grid = Markup('<path class="grid" d="M{},{} h{} M{},{} v{}"/>')
        at = i * cell
        parts.append(grid.format(svg.px(left), svg.px(top + at), size, svg.px(left + at), svg.px(top), size))
    for i, name in enumerate(evaluation.classes):
        middle, label = (i + 0.5) * cell, shorten(name)
        parts.append(svg.text("axis", left - 6, top + middle, label, anchor="end", font=font, hint=name))
        parts.append(
            svg.text("axis", left + middle, top - 6, label, anchor="start", font=font, hint=name, turn=True)
        )
    parts.append(svg.text("axis heading", 4, 12, "predicted class →", anchor="start"))
    parts.append(svg.text("axis heading", 4, 30, "true class ↓", anchor="start"))
    return svg.picture(left + size + 4, top + size + 4, title, parts, fixed=True)


def shorten(name: str) -> str:
    return name if len(name) <= _MAX_LABEL else name[: _MAX_LABEL - 1] + "…"


def _bar(frame: svg.Frame, each: ReliabilityBin, height: float, style: str, label: str) -> Markup:
    left, top = map(float, frame.at(each.lower, height))
    right, bottom = map(float, frame.at(each.upper, 0))
    box = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>')
    return box.format(
        style, svg.px(left + 1), svg.px(top), svg.px(right - left - 2), svg.px(bottom - top), label
    )


def _runs(points: Sequence[tuple[float, float | None]]) -> Iterator[list[tuple[float, float]]]:
    """The stretches without a gap."""
    run: list[tuple[float, float]] = []
    for x, y in [*points, (0.0, None)]:
        if y is not None:
            run.append((x, y))
        elif run:
            yield run
            run = []
