"""What `./inv simulate` does."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.scaling import Assumptions
from ml.errors import KennelError
from ops import files
from ops.paths import shown
from ops.simulate import page, patterns, pictures, queueing, tables
from ops.simulate.declared import Scaling
from ops.simulate.overrides import assumptions, positive, with_settings
from ops.simulate.recommend import Goal, Recommendation, as_terraform, recommend
from ops.simulate.replay import BEGINNING, Replay, replay
from ops.simulate.sources import Known, instance_of, scaling_of
from ops.simulate.variants import variants, warm
from ops.stage import Stage
from ops.traffic import Traffic

Say = Callable[[str], None]
_PEAK = 0.7  # of what all instances can answer: a pattern's peak, where none is given


@dataclass(frozen=True)
class Options:
    """The flags, as they were typed."""

    traffic: str = "daily"
    peak: str | None = None
    hours: str | None = None
    capacity: str | None = None
    unloaded: str | None = None
    price: str | None = None
    instance_type: str | None = None
    settings: str | None = None
    assume: str | None = None
    compare: bool = False
    recommend: bool = False
    latency: str | None = None
    drops: str | None = None
    output: str | None = None


@dataclass(frozen=True)
class Simulation:
    """All that was found, to be told as text, JSON or a page."""

    label: str
    traffic: Traffic
    planned: Scaling
    known: Known
    assumptions: Assumptions
    found: list[Replay]
    recommendation: Recommendation | None

    def text(self) -> Iterator[str]:
        yield tables.row("Traffic", tables.traffic_text(self.label, self.traffic))
        for name, value in self.facts():
            yield tables.row(name, value)
        yield ""
        if self.recommendation is not None:
            yield from tables.recommendation(self.recommendation, self.planned, self.assumptions)
            if len(self.found) > 1:
                yield ""
        if len(self.found) > 1:
            yield from tables.comparison(self.found)
        elif self.recommendation is None:
            yield from tables.one(self.found[0])

    def facts(self) -> Iterator[tuple[str, str]]:
        yield "Policy", f"{tables.policy_text(self.planned)} ({self.planned.source})"
        known, instance = self.known, self.known.instance
        yield (
            "Instance",
            f"{known.instance_type} at ${instance.hourly_usd:.4g} an hour ({known.price_source})",
        )
        yield "Capacity", f"{instance.capacity:g} requests/s an instance ({known.capacity_source})"
        yield (
            "Answers",
            f"{instance.latency * 1000:.3g} ms when nothing waits ({known.latency_source}); who would wait longer than "
            f"{instance.queue_seconds:.3g} s is refused; {queueing.FORMULA}",
        )
        yield "Begins", f"with as many instances as the first demand needs: {self.found[0].scaling.initial}"
        told = tables.reaction_text(self.planned, self.assumptions)
        if told is not None:
            yield "Reaction", f"{told} ({tables.guesses(self.assumptions)})"

    def as_dict(self) -> dict[str, Any]:
        advice = self.recommendation
        return {
            "traffic": {
                "label": self.label, "seconds": self.traffic.seconds, "requests": round(self.traffic.requests),
                "peak": self.traffic.peak,
            },
            "policy": {"source": self.planned.source, "text": tables.policy_text(self.planned)},
            "instance": {
                "type": self.known.instance_type, "requests_per_second": self.known.instance.capacity,
                "unloaded_ms": self.known.instance.latency * 1000,
                "longest_wait_seconds": self.known.instance.queue_seconds,
                "hourly_usd": self.known.instance.hourly_usd, "capacity_source": self.known.capacity_source,
                "latency_source": self.known.latency_source, "price_source": self.known.price_source,
            },
            "policies": [_figures(each) for each in self.found],
            "recommendation": None if advice is None else _figures(advice.best) | {
                "goal": {"latency_ms": advice.goal.latency * 1000, "drops_percent": advice.goal.drops * 100},
                "utilization_at_target": advice.utilization, "target_per_minute": advice.target_a_minute,
                "terraform": as_terraform(advice.best.scaling), "tried": advice.tried,
            },
            "parameters": [vars(entry) for entry in self.assumptions.table()],
        }  # fmt: skip

    def write(self, path: Path) -> None:
        """Write the page, or the picture alone where the name ends in .svg."""
        if path.suffix == ".svg":
            several = len(self.found) > 1
            picture = (
                pictures.rows(self.found, "Demand and capacity of each policy")
                if several
                else pictures.panels(self.found[0], "Demand, capacity, instances and latency")
            )
            files.write(path, pictures.standalone(picture))
            return
        traffic = tables.traffic_text(self.label, self.traffic)
        page.write(
            path,
            page.Report(
                "Scaling, simulated", traffic, self.found, list(self.facts()), self.assumptions, self.planned,
                self.recommendation,
            ),
        )  # fmt: skip


def simulate(stage: Stage, options: Options, say: Say) -> Simulation:
    """Check everything, then replay.

    Raises:
        KennelError: something that was given cannot be.
    """
    assumed = assumptions(options.assume)
    from_file = patterns.is_file(options.traffic)
    goal = _goal(options)
    if from_file and (options.peak or options.hours):
        raise KennelError("--peak and --hours are for a named traffic.", options.traffic, "Leave them out.")
    traffic = Traffic.read(Path(options.traffic)) if from_file else None
    planned = scaling_of(stage, say)
    if options.settings is not None:
        planned = with_settings(planned, options.settings)
    known = instance_of(
        stage,
        options.instance_type or planned.instance_type,
        options.capacity,
        options.unloaded,
        options.price,
    )
    if traffic is None:
        traffic = _pattern(options, planned, known)
    planned = warm(planned, traffic, known.instance)
    policies = variants(planned, traffic, known.instance) if options.compare else [("as planned", planned)]
    found = [replay(name, traffic, scaling, known.instance, assumed) for name, scaling in policies]
    advice = recommend(planned, traffic, known.instance, assumed, goal) if goal is not None else None
    return Simulation(options.traffic, traffic, planned, known, assumed, found, advice)


def _goal(options: Options) -> Goal | None:
    if not options.recommend:
        if options.latency is not None or options.drops is not None:
            raise KennelError("--latency and --drops are what --recommend holds.", None, "Add --recommend.")
        return None
    if options.latency is None:
        raise KennelError(
            "--recommend needs a latency to hold.", None, "Add --latency MS, and --drops PERCENT if not 0.1."
        )
    latency = positive("--latency", options.latency) / 1000
    text = "0.1" if options.drops is None else options.drops
    try:
        drops = float(text)
    except ValueError:
        drops = math.nan
    if not 0 <= drops <= 100:
        raise KennelError("--drops is a percentage from 0 to 100.", text)
    return Goal(latency, drops / 100)


def _pattern(options: Options, planned: Scaling, known: Known) -> Traffic:
    usual = _PEAK * max(1, planned.limits.maximum) * known.instance.capacity
    peak = usual if options.peak is None else positive("--peak", options.peak)
    hours = None if options.hours is None else positive("--hours", options.hours)
    return patterns.named(options.traffic, peak, hours)


def _figures(found: Replay) -> dict[str, Any]:
    first = found.reaction
    return {
        "name": found.name,
        "policy": tables.policy_text(found.scaling),
        "instances": {
            "mean": float(found.serving.mean()), "min": int(found.serving.min()), "max": int(found.serving.max()),
        },
        "latency_ms": {f"p{share:g}": found.latency(share / 100) * 1000 for share in (50, 95, 99)},
        "refused": float(found.refused.sum()),
        "refused_percent": found.dropped * 100,
        "overload_seconds": sum(each.seconds for each in found.overloads),
        "reaction": None if first is None else vars(first),
        "cost_usd": found.cost,
        "monthly_usd": found.monthly_cost,
        "activities": [
            {"seconds": each.started - BEGINNING, "from": each.before, "to": each.after, "cause": each.cause}
            for each in found.scalings
        ],
    }  # fmt: skip


def page_path(stage: Stage, options: Options) -> Path:
    """Where the page goes.

    Raises:
        KennelError: nothing can be written there.
    """
    path = Path(options.output) if options.output else stage.directory / "simulation.html"
    if path.suffix not in {".html", ".svg"}:
        raise KennelError("--output is a file that ends in .html or .svg.", options.output)
    if path.is_dir():
        raise KennelError("--output is a file.", f"the folder {shown(path)}")
    return path


def as_json(found: Simulation) -> str:
    return json.dumps(found.as_dict(), indent=2)
