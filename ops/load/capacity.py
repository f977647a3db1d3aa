"""How many requests a second one instance of the endpoint takes: open-loop rates, doubled, then bisected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ml.errors import KennelError
from ops.load.options import MAX_RATE, Demand, steady
from ops.load.result import Result

P99_MS = 500.0  # by default: what a caller at a screen still takes for an answer at once
FAILURES = 0.01  # share of requests, at most
CLOSE = 1.1  # between the highest rate that held and the lowest that did not, at the end of the search
MAX_STEPS = 16

Measure = Callable[[Demand], Result]


@dataclass(frozen=True)
class Step:
    rate: float  # requests/s
    p99: float | None  # ms, corrected
    failures: float  # share
    held: bool  # the criterion

    def __str__(self) -> str:
        p99 = f"{self.p99:.0f} ms" if self.p99 is not None else "none"
        verdict = "held" if self.held else "broken"
        return f"{self.rate:9.2f}/s   p99 {p99:>9}   failures {self.failures:6.1%}   {verdict}"


@dataclass
class Capacity:
    """What one instance takes, by the criterion, and what was measured on the way."""

    instance_type: str | None
    instances: int
    criterion_ms: float
    light_ms: float  # median of one caller who asks in turn
    requests_per_second: float = 0.0  # of one instance
    p99_ms: float = 0.0
    concurrency: float = 0.0  # requests in flight on average, by Little's law
    at_least: bool = False  # the client or its bounds ended the search, not the endpoint
    steps: list[Step] = field(default_factory=list)

    @property
    def criterion(self) -> str:
        return f"99% answered within {self.criterion_ms:g} ms of when due, {FAILURES:.0%} failures at most"

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        least = "at least " if self.at_least else ""
        yield f"one instance   {least}{self.requests_per_second:.3g} requests/s ({self.instance_type or 'serverless'})"
        yield f"a minute       {least}{self.requests_per_second * 60:,.0f}"
        yield f"criterion      {self.criterion}"
        yield f"p99 there      {self.p99_ms:.0f} ms, {self.concurrency:.1f} requests in flight on average"
        yield f"light load     median {self.light_ms:.1f} ms"

    def to_dict(self) -> dict[str, Any]:
        return {
            "requests_per_second": round(self.requests_per_second, 3),
            "instance_type": self.instance_type,
            "p99_ms": round(self.p99_ms, 3),
            "concurrency": round(self.concurrency, 3),
            "latency_ms": round(self.light_ms, 3),
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "criterion": self.criterion,
            "instances": self.instances,
            "at_least": self.at_least,
            "steps": [vars(step) for step in self.steps],
        }


def measure(run: Measure, seconds: float, criterion_ms: float, on_step: Callable[[str], None]) -> Capacity:
    """Find the highest rate that holds the criterion, to a tenth; each rate is kept up for `seconds`.

    Raises:
        KennelError: nothing holds it, the load was interrupted, or instances came or went meanwhile.
    """
    light = run(Demand(seconds / 2, users=1))
    service = light.service
    if service is None or light.failure_share > FAILURES:
        raise KennelError(
            "One caller alone gets answers.",
            ", ".join(f"{kind}: {count}" for kind, count in light.faults.items()) or "none",
            "./inv status and ./inv predict tell more.",
        )
    before = light.before
    found = Capacity(
        before.type if before else None,
        before.count if before else 1,
        criterion_ms,
        service.percentiles["50"] or 0.0,
    )
    on_step(
        f"one caller in turn: median {found.light_ms:.1f} ms, {len(light.good) / light.seconds:.1f} answers/s"
    )
    low, high = 0.0, float("inf")
    rate = min(MAX_RATE, 500.0 / service.mean * found.instances)  # half of what one after the other gives
    while len(found.steps) < MAX_STEPS and high > CLOSE * low:
        result = run(steady(rate, seconds, seed=len(found.steps)))
        step = _step(rate, result, criterion_ms)
        found.steps.append(step)
        on_step(str(step))
        _check_instances(result, found.instances)
        if step.held:
            low, latency = rate, result.corrected
            found.requests_per_second = rate / found.instances
            found.p99_ms = step.p99 or 0.0
            found.concurrency = rate * (latency.mean if latency else 0.0) / 1000 / found.instances
        else:
            high, found.at_least = rate, not result.kept_up or bool(result.measured.unsent)
        if low == MAX_RATE:
            found.at_least = True
            break
        rate = (
            min(MAX_RATE, low * 2) if high == float("inf") else high / 2 if low == 0 else (low * high) ** 0.5
        )
        if rate * seconds < 1:
            break
    if low == 0:
        raise KennelError(
            f"Some rate holds the criterion: {found.criterion}.",
            f"one caller in turn: median {found.light_ms:.0f} ms; " + "; ".join(map(str, found.steps[-1:])),
            "Allow more with --p99 MILLISECONDS.",
        )
    return found


def _step(rate: float, result: Result, criterion_ms: float) -> Step:
    if result.measured.interrupted:
        raise KeyboardInterrupt("Interrupted. The capacity was not measured to the end; nothing was written.")
    latency = result.corrected
    p99 = None if latency is None else latency.percentiles["99"] or latency.max
    held = p99 is not None and p99 <= criterion_ms and result.failure_share <= FAILURES
    return Step(rate, p99, result.failure_share, held)


def _check_instances(result: Result, expected: int) -> None:
    for found in (result.before, result.after):
        if found is not None and found.count != expected:
            raise KennelError(
                "While a capacity is measured, instances neither come nor go.",
                f"{expected} at first, then {found.count}",
                "Set the stage's scaling to min = max, or shorten the steps with --for.",
            )
