"""A load's report: one HTML file that needs nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from ml.report import page
from ops.load.charts import Line, fault_chart, percentile_chart, time_chart
from ops.load.result import Result, merged_faults
from ops.load.text import NAMES, milliseconds

_HERE = Path(__file__).parent


def write(path: Path, result: Result) -> None:
    """Write the report to `path`, whole or not at all."""
    page.write(path, render(result))


def render(result: Result) -> str:
    moments = result.over_time()
    corrected, service = result.corrected, result.service
    latencies = [
        (name, style, latency)
        for name, style, latency in (
            ("since due (corrected)", "first", corrected),
            ("since sent (service)", "second", service),
        )
        if latency is not None
    ]
    due = Line("due", "second", [(each.second, each.due) for each in moments])
    good = Line("good answers", "first", [(each.second, each.good) for each in moments])
    return page.render(
        "load.html.j2",
        folder=_HERE,
        result=result,
        measured=result.measured,
        latencies=latencies,
        began=f"{datetime.fromtimestamp(result.measured.began, UTC):%Y-%m-%d %H:%M} UTC",
        headline=corrected or service,
        names=NAMES,
        ms=milliseconds,
        percentiles=percentile_chart(latencies, title="Latency by percentile") if latencies else None,
        rates=time_chart(
            [due, good], result.seconds, title="Requests due and good answers a second", unit="/s"
        ),
        over_time=time_chart(
            [
                Line("99 %", "second", [(each.second, each.p99) for each in moments]),
                Line("median", "first", [(each.second, each.median) for each in moments]),
            ],
            result.seconds,
            title="Latency over time",
            unit="ms",
        ),
        faults=fault_chart(moments, result.seconds, title="Failures a second"),
        kinds=merged_faults(moments),
    )
