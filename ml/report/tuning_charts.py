"""The pictures of a tuning report: the better a trial, the stronger its colour."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ml.report import svg
from ml.search_space import Range, SearchSpace
from ml.tune.trials import TuningTrial, best

_LOG = 8.0  # largest to smallest loss, from which on they are shown on a logarithmic axis
_FIFTHS = 5


@dataclass(frozen=True)
class Scale:
    """Places values on an axis from 0, its beginning, to 1."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def around(cls, values: Iterable[float]) -> Scale:
        """From one round number to another, with all values in between."""
        found = list(values)
        low, high = min(found), max(found)
        if low > 0 and high / low > _LOG:
            return cls(_round(low, down=True), _round(high, down=False), log=True)
        ticks = svg.round_ticks(low, high)
        return cls(ticks[0], ticks[-1])

    def at(self, value: float) -> float:
        low, high, place = (math.log(each) if self.log else each for each in (self.low, self.high, value))
        return (place - low) / (high - low)

    def ticks(self) -> list[tuple[float, str]]:
        """(place, label), three to seven of them where there is room for round numbers."""
        if self.log and self.high / self.low >= 4:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            found: list[float] = []
            for factors in ((1,), (1, 3), (1, 2, 5)):
                found = [factor * 10.0**power for power in powers for factor in factors]
                found = [tick for tick in found if self.low * 0.999 <= tick <= self.high * 1.001]
                if len(found) >= 3:
                    break
            return [(self.at(tick), f"{tick:g}") for tick in found]
        found = [
            tick
            for tick in svg.round_ticks(self.low, self.high)
            if self.low <= tick <= self.high * (1 + 1e-9)
        ]
        digits = svg.decimals(found[1] - found[0], False) if len(found) > 1 else 3
        return [(self.at(tick), f"{tick:.{digits}f}") for tick in found]


def history_chart(trials: Sequence[TuningTrial]) -> Markup | None:
    """What each trial came to, and the best until then; None where no trial came to anything."""
    values = [trial.value for trial in trials if trial.value is not None]
    if not values:
        return None
    scale = Scale.around(values)
    first, last = trials[0].number, trials[-1].number
    frame = svg.Frame((first - 0.5, last + 0.5), (0, 1), left=52, top=14, width=418, height=218)
    numbers = [tick for tick in svg.round_ticks(first, last, whole=True) if first <= tick <= last]
    parts = [_y_axis(frame, scale), svg.x_axis(frame, numbers, "trial")]
    lowest, steps = math.inf, []
    for trial in trials:
        if trial.state == "complete" and trial.value is not None:
            lowest = min(lowest, trial.value)
        if lowest < math.inf:
            left, y = frame.at(trial.number - 0.5, scale.at(lowest))
            right, _ = frame.at(trial.number + 0.5, scale.at(lowest))
            steps += [f"{left},{y}", f"{right},{y}"]
    parts.append(Markup('<polyline class="line best" points="{}"/>').format(" ".join(steps)))
    winner = best(trials)
    radius = 4 if len(trials) <= 60 else 2.5
    for trial in trials:
        if trial.value is None:
            x, y = frame.at(trial.number, 1)
            parts.append(
                Markup(
                    '<g class="failed"><title>{2}</title><path d="M{0},{1} m-4,-4 l8,8 m0,-8 l-8,8"/></g>'
                ).format(x, y, _told(trial))
            )
            continue
        style = f"{trial.state}{' winner' if trial is winner else ''}"
        parts.append(
            svg.dot(
                style,
                frame.at(trial.number, scale.at(trial.value)),
                radius + (2 if trial is winner else 0),
                _told(trial),
            )
        )
    return svg.picture(480, 278, "Validation loss of each trial, and the best until then", parts)


def curves_chart(trials: Sequence[TuningTrial]) -> Markup | None:
    """The loss of each trial by epoch; None where no course was recorded."""
    courses = [trial for trial in trials if len(trial.history) > 1]
    if not courses:
        return None
    scale = Scale.around(loss for trial in courses for _, loss in trial.history)
    epochs = [epoch for trial in courses for epoch, _ in trial.history]
    frame = svg.Frame((min(epochs), max(epochs)), (0, 1), left=52, top=14, width=418, height=218)
    numbers = [
        tick
        for tick in svg.round_ticks(min(epochs), max(epochs), whole=True)
        if min(epochs) <= tick <= max(epochs)
    ]
    parts = [_y_axis(frame, scale), svg.x_axis(frame, numbers, "epoch")]
    for trial, style in _worst_first(courses):
        points = " ".join(",".join(frame.at(epoch, scale.at(loss))) for epoch, loss in trial.history)
        parts.append(
            Markup('<polyline class="{}" points="{}"><title>{}</title></polyline>').format(
                style, points, _told(trial)
            )
        )
    return svg.picture(480, 278, "Validation loss of each trial by epoch", parts)


def parallel_chart(trials: Sequence[TuningTrial], space: SearchSpace) -> Markup | None:
    """A line a trial, through its settings to its loss; None where no trial came to anything."""
    shown = [trial for trial in trials if trial.value is not None]
    if not shown:
        return None
    names = [*space.parameters, "validation loss"]
    width, top, height = 880.0, 52.0, 280.0
    left, right = 64.0, 56.0
    xs = [left + i * (width - left - right) / (len(names) - 1) for i in range(len(names))]
    scale = Scale.around(trial.value for trial in shown if trial.value is not None)
    axes = [_axis(space, name) for name in space.parameters] + [_NumberAxis(scale)]

    def y(place: float) -> float:
        return top + (1 - place) * height

    lines = []
    for trial, style in _worst_first(shown):
        values = [*(trial.params[name] for name in space.parameters), trial.value]
        ys = [y(axis.at(value)) for axis, value in zip(axes, values, strict=True)]
        path = f"M{svg.px(xs[0])},{svg.px(ys[0])}"
        for i in range(1, len(xs)):
            middle = svg.px((xs[i - 1] + xs[i]) / 2)
            path += f" C{middle},{svg.px(ys[i - 1])} {middle},{svg.px(ys[i])} {svg.px(xs[i])},{svg.px(ys[i])}"
        lines.append(
            Markup('<path class="{}" d="{}"><title>{}</title></path>').format(style, path, _told(trial))
        )
    parts = []
    for x, name, axis in zip(xs, names, axes, strict=True):
        parts.append(
            Markup('<path class="base" d="M{},{} v{}"/>').format(svg.px(x), svg.px(top), svg.px(height))
        )
        parts.append(svg.text("axis heading", x, 18, name.replace("_", " "), font=13))
        for place, label in axis.ticks():
            at = svg.px(y(place))
            beside, anchor = (6, "start") if x == xs[-1] else (-6, "end")
            parts.append(Markup('<path class="base" d="M{},{} h{}"/>').format(svg.px(x), at, beside))
            parts.append(svg.text("axis halo", x + 1.6 * beside, float(at), label, anchor=anchor))
    title = f"{len(shown)} trials as lines through their settings to their validation loss"
    return svg.picture(width, top + height + 16, title, [*lines, *parts])


@dataclass(frozen=True)
class _NumberAxis:
    scale: Scale

    def at(self, value: object) -> float:
        assert isinstance(value, int | float)  # noqa: S101
        return self.scale.at(value)

    def ticks(self) -> list[tuple[float, str]]:
        return self.scale.ticks()


@dataclass(frozen=True)
class _ChoiceAxis:
    values: Sequence[object]

    def at(self, value: object) -> float:
        return (self.values.index(value) + 0.5) / len(self.values)

    def ticks(self) -> list[tuple[float, str]]:
        return [(self.at(value), str(value)) for value in self.values]


def _axis(space: SearchSpace, name: str) -> _NumberAxis | _ChoiceAxis:
    parameter = space.parameters[name]
    if isinstance(parameter, Range):
        return _NumberAxis(Scale(parameter.low, parameter.high, parameter.log))
    return _ChoiceAxis(parameter.values)


def _worst_first(trials: Sequence[TuningTrial]) -> list[tuple[TuningTrial, str]]:
    """Trials and the classes of their lines, so that the best is drawn over the others."""
    winner = best(trials)
    ranked = sorted(trials, key=lambda trial: math.inf if trial.value is None else trial.value)
    styled = [
        (
            trial,
            f"trial f{_FIFTHS * rank // len(ranked)} {trial.state}{' winner' if trial is winner else ''}",
        )
        for rank, trial in enumerate(ranked)
        if trial is not winner
    ]
    return [*reversed(styled), *([(winner, "trial f0 complete winner")] if winner is not None else [])]


def _told(trial: TuningTrial) -> str:
    loss = f"validation loss {trial.value:.4g}" if trial.value is not None else "no loss"
    settings = ", ".join(f"{name} {shown(value)}" for name, value in trial.params.items())
    return f"trial {trial.number}: {loss}; {settings}" + (f"; {trial.note}" if trial.note else "")


def shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _y_axis(frame: svg.Frame, scale: Scale) -> Markup:
    parts = []
    for place, label in scale.ticks():
        left, y = frame.at(frame.x[0], place)
        parts.append(Markup('<path class="grid" d="M{},{} h{}"/>').format(left, y, svg.px(frame.width)))
        parts.append(svg.text("axis", frame.left - 8, float(y), label, anchor="end"))
    return Markup("\n").join(parts)


def _round(value: float, *, down: bool) -> float:
    """The next number with one digit."""
    power = 10.0 ** math.floor(math.log10(value))
    return (math.floor(value / power + 1e-9) if down else math.ceil(value / power - 1e-9)) * power


def shares(importances: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """(setting, its share, the length of its bar: 1 for the largest)."""
    largest = max(importances.values()) or 1.0
    return [(name, share, share / largest) for name, share in importances.items()]
