"""What a load is to be, checked before anything is sent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from ml.errors import KennelError
from ops.load.arrivals import SPACINGS, Spacing
from ops.simulate.patterns import PATTERNS, is_file
from ops.traffic import Traffic

MAX_RATE = 1_000.0  # requests/s; one process of Locust can do so many, and an account's quotas are near it
MAX_USERS = 500
MAX_SECONDS = 3_600.0
MAX_REQUESTS = 1_000_000
IN_FLIGHT = 500  # requests; what is due beyond them waits, and the waiting counts
TIMEOUT = 65.0  # seconds; SageMaker itself gives up after 60
DRAIN = 30.0  # seconds for the answers that are under way at the end
PATTERN_STEPS = 240
DEFAULT_STEP = 10.0  # seconds of each rate that `--capacity` tries

Where = Literal["endpoint", "lambda"]


@dataclass(frozen=True)
class Demand:
    """Open loop: `traffic` says how many requests come when. Closed loop: `users` ask in turn, without a pause."""

    seconds: float
    traffic: Traffic | None = None
    users: int | None = None
    spacing: Spacing = "poisson"
    seed: int = 0

    @property
    def rate(self) -> float | None:
        """Requests/s on average; None for a closed loop."""
        if self.traffic is None:
            return None
        return sum(self.traffic.rates) * self.traffic.interval / self.seconds

    @property
    def peak(self) -> float | None:
        return max(self.traffic.rates) if self.traffic is not None else None

    def __str__(self) -> str:
        if self.traffic is None:
            return f"{self.users} {'user' if self.users == 1 else 'users'} in turn, {self.seconds:g} s"
        if len(set(self.traffic.rates)) == 1:
            return f"{self.rate:g} requests/s, {self.spacing}, {self.seconds:g} s"
        return f"{self.rate:.3g} requests/s on average, at most {self.peak:.3g}, {self.spacing}, {self.seconds:g} s"


def steady(rate: float, seconds: float, spacing: Spacing = "poisson", seed: int = 0) -> Demand:
    return Demand(seconds, traffic=Traffic(seconds, (rate,)), spacing=spacing, seed=seed)


def demand(
    *,
    rate: str | None,
    users: str | None,
    traffic: str | None,
    seconds: str | None,
    arrivals: str = "poisson",
    seed: int = 0,
) -> Demand:
    """The demand that the flags ask for.

    Raises:
        KennelError: they ask for none, for several, or for one that is out of bounds.
    """
    given = [
        name
        for name, value in (("--rate", rate), ("--users", users), ("--traffic", traffic))
        if value is not None
    ]
    if len(given) != 1 and given != ["--rate", "--traffic"]:
        raise KennelError(
            "A load is one of --rate (requests a second), --users (who ask in turn) and --traffic.",
            " and ".join(given) or "none",
            "Give one: --rate 10 --for 30.",
        )
    if arrivals not in SPACINGS:
        raise KennelError(
            f"--arrivals is {' or '.join(SPACINGS)}.", arrivals, "poisson is what callers are like."
        )
    spacing = cast(Spacing, arrivals)
    length = None if seconds is None else number("--for", seconds, above=0, most=MAX_SECONDS, unit="seconds")
    asked = None if rate is None else number("--rate", rate, above=0, most=MAX_RATE, unit="requests a second")
    if traffic is not None:
        if is_file(traffic):
            return _of_file(Path(traffic), asked, length, spacing, seed)
        return _of_pattern(traffic, asked, length, spacing, seed)
    if length is None:
        raise KennelError("A load ends.", "no --for", "Add --for SECONDS.")
    if asked is None:
        return Demand(length, users=whole("--users", users or "", most=MAX_USERS), spacing=spacing, seed=seed)
    return _bounded(steady(asked, length, spacing, seed))


def _of_pattern(name: str, peak: float | None, seconds: float | None, spacing: Spacing, seed: int) -> Demand:
    """The pattern's hours in so many seconds."""
    if peak is None or seconds is None:
        raise KennelError(
            "A pattern has a peak and a length.", f"--traffic {name}", "Add --rate PEAK and --for SECONDS."
        )
    shape, hours = PATTERNS[name]
    total = hours * 3600
    rates = tuple(peak * shape((step + 0.5) / PATTERN_STEPS * total, total) for step in range(PATTERN_STEPS))
    return _bounded(
        Demand(seconds, traffic=Traffic(seconds / PATTERN_STEPS, rates), spacing=spacing, seed=seed)
    )


def _of_file(path: Path, peak: float | None, seconds: float | None, spacing: Spacing, seed: int) -> Demand:
    """The file's traffic; with `--for` all of it in so many seconds, at the same rates."""
    if peak is not None:
        raise KennelError(
            "A traffic file has its rates.", f"--rate {peak:g} with {path}", "Leave --rate out."
        )
    found = Traffic.read(path)
    if seconds is not None:
        found = Traffic(seconds / len(found.rates), found.rates)
    if found.seconds > MAX_SECONDS:
        raise KennelError(
            f"A load takes at most {MAX_SECONDS:g} seconds.",
            f"{path}: {found.seconds:g}",
            "With --for SECONDS its steps are made shorter, their rates stay.",
        )
    if not 0 < max(found.rates) <= MAX_RATE:
        raise KennelError(
            f"Traffic has more than 0 and at most {MAX_RATE:,.0f} requests a second.",
            f"{path}: at most {max(found.rates):g}",
            "Correct the file.",
        )
    return _bounded(Demand(found.seconds, traffic=found, spacing=spacing, seed=seed))


def _bounded(asked: Demand) -> Demand:
    requests = (asked.rate or 0) * asked.seconds
    if requests > MAX_REQUESTS:
        raise KennelError(
            f"A load has at most {MAX_REQUESTS:,} requests.",
            f"about {requests:,.0f}",
            "Lower --rate or --for.",
        )
    return asked


def number(name: str, text: str, *, above: float, most: float, unit: str) -> float:
    """Raises KennelError where the text is no number in these bounds."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not above < value <= most:  # NaN is not
        raise KennelError(
            f"{name} is a number of {unit}, more than {above:g} and at most {most:,.0f}.",
            text,
            f"Correct {name}.",
        )
    return value


def whole(name: str, text: str, *, most: int) -> int:
    """Raises KennelError where the text is no whole number from 1."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= most):
        raise KennelError(f"{name} is a whole number from 1 to {most:,}.", text, f"Correct {name}.")
    return int(text)


def where(on: str) -> Where:
    """Raises KennelError where it is neither of both."""
    if on not in ("endpoint", "lambda"):
        raise KennelError("--on is endpoint or lambda.", on, "Choose one.")
    return cast(Where, on)
