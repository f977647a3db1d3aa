"""When requests arrive, whatever becomes of those before: the same seed gives the same times."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Literal, get_args

Spacing = Literal["poisson", "constant"]
SPACINGS: tuple[str, ...] = get_args(Spacing)


def times(interval: float, rates: Sequence[float], spacing: Spacing, seed: int) -> Iterator[float]:
    """Seconds from the start, ascending. `rates` are requests a second, each in force for `interval` seconds.

    Each next request comes when the integral of the rate has grown by 1, or by an exponential variate, which makes
    a Poisson process: callers that know nothing of each other.
    """
    chance = random.Random(seed)  # noqa: S311 - arrivals, no secret

    def growth() -> float:
        return chance.expovariate(1.0) if spacing == "poisson" else 1.0

    due = (
        growth() if spacing == "poisson" else 0.0
    )  # the integral from the step's beginning to the next arrival
    for step, rate in enumerate(rates):
        while due < rate * interval:
            yield step * interval + due / rate
            due += growth()
        due -= rate * interval
