"""Pieces of pictures as inline SVG, coloured by the page's style sheet: they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Frame:
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
        return px(self.left + right * self.width), px(self.top + (1 - up) * self.height)


def picture(width: float, height: float, title: str, parts: Sequence[Markup], fixed: bool = False) -> Markup:
    """`fixed` pictures keep their size and are scrolled, others fill the width there is."""
    size = Markup(' width="{}" height="{}"').format(px(width), px(height)) if fixed else ""
    start = Markup('<svg viewBox="0 0 {} {}"{} role="img" aria-label="{}">')
    return start.format(px(width), px(height), size, title) + Markup("\n").join(parts) + Markup("</svg>")


def y_axis(frame: Frame, ticks: Sequence[float], percent: bool) -> Markup:
    parts = []
    digits = decimals(ticks[1] - ticks[0], percent)
    for tick in ticks:
        left, y = frame.at(frame.x[0], tick)
        parts.append(Markup('<path class="grid" d="M{},{} h{}"/>').format(left, y, px(frame.width)))
        label = f"{tick:.{digits}%}" if percent else f"{tick:.{digits}f}"
        parts.append(text("axis", frame.left - 8, float(y), label, anchor="end"))
    return Markup("\n").join(parts)


def x_axis(frame: Frame, ticks: Sequence[float], name: str, percent: bool = False) -> Markup:
    bottom = frame.top + frame.height
    parts = [
        Markup('<path class="base" d="M{},{} h{}"/>').format(px(frame.left), px(bottom), px(frame.width))
    ]
    for tick in ticks:
        x, _ = frame.at(tick, frame.y[0])
        anchor = "end" if tick == ticks[-1] and tick == frame.x[1] else "middle"
        parts.append(
            text("axis", float(x), bottom + 14, f"{tick:.0%}" if percent else f"{tick:g}", anchor=anchor)
        )
    parts.append(text("axis heading", frame.left + frame.width / 2, bottom + 32, name))
    return Markup("\n").join(parts)


def dot(style: str, place: tuple[str, str], radius: float, label: str) -> Markup:
    circle = Markup('<circle class="dot {}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>')
    return circle.format(style, *place, radius, label)


def text(
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
    place = (turned if turn else Markup('x="{}" y="{}"')).format(px(x), px(y))
    tag = Markup('<text class="{}" font-size="{}" text-anchor="{}" dy=".35em" {}>{}{}</text>')
    return tag.format(style, font, anchor, place, text, title)


def round_ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Four to eight round numbers, the first at or below `low`, the last at or above `high`."""
    span = high - low or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 5))
    step = next(factor * power for factor in (1, 2, 5, 10) if span / (factor * power) <= 6)
    if whole:
        step = max(1.0, round(step))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, max(last, first + 1) + 1)]


def decimals(step: float, percent: bool) -> int:
    return max(0, -math.floor(math.log10(step) + 1e-9) - (2 if percent else 0))


def px(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
