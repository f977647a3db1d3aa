"""A load's result as lines of a terminal, at most 80 characters wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from ops.load.latency import PERCENTILES, Latency
from ops.load.result import Result

WIDTH = 80
NAMES = [f"p{each:g}" for each in PERCENTILES]


def lines(result: Result) -> Iterator[str]:
    measured, target = result.measured, result.target
    yield f"{target.on} {target.name} in the stage {result.stage}: {result.demand}"
    yield ""
    asked = f"{result.demand.rate:.4g}/s" if result.demand.rate is not None else ""
    sent = len(measured.samples)
    yield row("asked", asked, "") if asked else row("users", str(result.demand.users), "")
    yield row("begun", f"{sent / result.seconds:.4g}/s", f"{sent:,} requests in {result.seconds:.1f} s")
    yield row("good answers", f"{len(result.good) / result.seconds:.4g}/s", f"{len(result.good):,}")
    for kind, count in result.faults.items():
        yield from _fault(kind, count, result)
    if not result.faults:
        yield row("failures", "none", "")
    if result.before is not None:
        after = result.after.count if result.after is not None else "?"
        yield row("instances", f"{result.before.count} → {after}", f"{result.before.type or 'serverless'}")
    yield ""
    yield f"{'latency, ms':22}" + "".join(f"{name:>9}" for name in (*NAMES, "max", "mean"))
    if result.demand.traffic is not None:
        yield _latencies("since due (corrected)", result.corrected)
    yield _latencies("since sent (service)", result.service)
    if result.notes:
        yield ""
    for note in result.notes:
        yield from textwrap.wrap(note, WIDTH, initial_indent="- ", subsequent_indent="  ")


def row(name: str, value: str, more: str) -> str:
    return f"{name:14} {value:>12}  {more}".rstrip()


def _fault(kind: str, count: int, result: Result) -> Iterator[str]:
    share = count / max(1, len(result.answered))
    latency = result.of_faults[kind].percentiles["50"]
    median = f", median {latency:.0f} ms" if latency is not None else ""
    yield row("failures", f"{count / result.seconds:.4g}/s", f"{count:,} ({share:.1%}){median}")
    yield from textwrap.wrap(kind, WIDTH, initial_indent=" " * 29, subsequent_indent=" " * 29)


def _latencies(name: str, latency: Latency | None) -> str:
    if latency is None:
        return f"{name:22}" + "–".rjust(9)
    values = [*latency.percentiles.values(), latency.max, latency.mean]
    return f"{name:22}" + "".join(f"{milliseconds(value):>9}" for value in values)


def milliseconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"
