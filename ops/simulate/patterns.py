"""Traffic with a name: what people say when they have no file."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from pathlib import Path

from ml.errors import KennelError
from ops.traffic import Traffic

STEP = 10.0  # s
_DAY = 86400.0


def _steady(_: float, __: float) -> float:
    return 1.0


def _spike(time: float, total: float) -> float:
    """A quarter of the peak, and the whole of it for a sixth of the time, at once."""
    return 1.0 if total / 3 <= time < total / 2 else 0.25


def _ramp(time: float, total: float) -> float:
    """From nothing to the peak and down again."""
    return 1 - abs(2 * time / total - 1)


def _daily(time: float, _: float) -> float:
    """Little at night; the most at 15:00, a second, smaller hill at 20:30."""
    hour = time / 3600 % 24
    hill = math.exp(-(((hour - 14) / 3.6) ** 2)) + 0.55 * math.exp(-(((hour - 20.5) / 1.7) ** 2))
    return 0.06 + 0.94 * min(1.0, hill / 1.0125)


def _weekly(time: float, total: float) -> float:
    """Five days of work and two of rest, from a Monday on."""
    return _daily(time, total) * (1.0 if time % (7 * _DAY) < 5 * _DAY else 0.35)


def _launch(time: float, total: float) -> float:
    """Nothing, then a step to the peak that stays."""
    return 0.0 if time < total / 4 else 1.0


PATTERNS: dict[str, tuple[Callable[[float, float], float], float]] = {  # shape of 0 to 1, hours
    "steady": (_steady, 2),
    "spike": (_spike, 3),
    "ramp": (_ramp, 4),
    "launch": (_launch, 2),
    "daily": (_daily, 24),
    "weekly": (_weekly, 168),
}


def named(name: str, peak: float, hours: float | None = None) -> Traffic:
    """Return the pattern with that peak of requests a second."""
    shape, usual = PATTERNS[name]
    total = (usual if hours is None else hours) * 3600
    count = max(1, round(total / STEP))
    return Traffic(STEP, tuple(peak * shape((i + 0.5) * STEP, total) for i in range(count)))


def is_file(text: str) -> bool:
    """Tell a file from a pattern.

    Raises:
        KennelError: it is neither.
    """
    if text in PATTERNS:
        return False
    if Path(text).exists() or "/" in text or text.endswith(".csv"):
        return True
    near = difflib.get_close_matches(text, PATTERNS, 1)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise KennelError(
        f"Traffic is a CSV file or one of {', '.join(PATTERNS)}.",
        text,
        f"{hint}./inv load writes such files.",
    )
