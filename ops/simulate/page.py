"""A simulation as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localcloud.scaling import Assumptions
from ml.report import page
from ops.simulate import pictures, tables
from ops.simulate.declared import Scaling
from ops.simulate.recommend import Recommendation, as_terraform
from ops.simulate.replay import BEGINNING, Replay


@dataclass(frozen=True)
class Report:
    title: str
    traffic: str
    found: Sequence[Replay]  # the first one is shown in full
    facts: Sequence[tuple[str, str]]
    assumptions: Assumptions
    planned: Scaling
    recommendation: Recommendation | None = None


def write(path: Path, report: Report) -> None:
    """Write the report to `path`, whole or not at all."""
    page.write(path, render(report))


def render(report: Report) -> str:
    advice = report.recommendation
    main = advice.best if advice else report.found[0]
    return page.render(
        "simulation.html.j2",
        folder=Path(__file__).parent,
        title=report.title,
        traffic=report.traffic,
        found=report.found,
        main=main,
        compared=pictures.rows(report.found, "Demand and capacity of each policy")
        if len(report.found) > 1
        else "",
        course=pictures.panels(main, f"Demand, capacity, instances and latency: {main.name}"),
        block=as_terraform(advice.best.scaling) if advice else "",
        reasons=list(tables.reasons(advice, report.planned, report.assumptions)) if advice else [],
        facts=report.facts,
        entries=report.assumptions.table(),
        usd=tables.usd,
        milliseconds=tables.milliseconds,
        share=tables.share,
        brief=tables.brief,
        reaction_brief=tables.reaction_brief,
        overload_text=tables.overload_text,
        policy_text=tables.policy_text,
        clock=lambda time: clock(time - BEGINNING),
    )


def clock(seconds: float) -> str:
    """Time of a simulated day; days before it where there are several."""
    days, rest = divmod(round(seconds), 86400)
    text = f"{rest // 3600:02}:{rest % 3600 // 60:02}:{rest % 60:02}"
    return f"day {days + 1}, {text}" if days else text
