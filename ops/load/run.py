"""Makes a load on a stage, and leaves its report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ml.errors import KennelError
from ops import files
from ops.load import driver, guard, page
from ops.load.capacity import MAX_STEPS, P99_MS, Capacity, measure
from ops.load.options import DEFAULT_STEP, Demand, Where, demand, number, where
from ops.load.payloads import Body, bodies, photos
from ops.load.result import Result
from ops.load.target import Instances, Target, instances, target
from ops.stage import CAPACITY_FILE, LOCAL, Stage

MAX_STEP = 300.0  # seconds of a rate that --capacity tries

Say = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What the flags ask for: a demand, or, without one, the search for the capacity."""

    demand: Demand | None
    on: Where
    step: float  # seconds of a rate that the search tries
    criterion_ms: float  # of the search
    traffic_file: Path | None
    output: Path | None

    @classmethod
    def of(
        cls,
        sources: Mapping[str, str | None],  # rate, users, traffic
        seconds: str | None,
        on: str,
        arrivals: str,
        seed: int,
        *,
        capacity: bool,
        p99: str | None,
        save_traffic: str | None,
        output: str | None,
    ) -> Asked:
        """Raises KennelError where the flags do not fit."""
        if not capacity:
            if p99 is not None:
                raise KennelError("--p99 is of --capacity.", p99, "Add --capacity, or leave it out.")
            asked = demand(**sources, seconds=seconds, arrivals=arrivals, seed=seed)
        elif extra := [f"--{name}" for name, value in sources.items() if value is not None]:
            raise KennelError("--capacity finds the rate itself.", ", ".join(extra), "Leave it out.")
        elif on != "endpoint":
            raise KennelError("--capacity is of the endpoint's instances.", f"--on {on}", "Leave --on out.")
        elif save_traffic is not None or output is not None:
            raise KennelError(
                "--capacity writes capacity.json alone.", save_traffic or output, "Leave it out."
            )
        return cls(
            None if capacity else asked,
            where(on),
            step_seconds(seconds) if capacity else 0.0,
            criterion(p99),
            _new_file("--save-traffic", save_traffic),
            _new_file("--output", output),
        )


@dataclass(frozen=True)
class Loading:
    """A stage that is ready to be asked."""

    stage: Stage
    outputs: dict[str, Any]
    target: Target
    bodies: list[Body]
    instances: Instances

    @classmethod
    def prepare(cls, stage: Stage, outputs: dict[str, Any], on: Where, image: str | None) -> Loading:
        """Raises KennelError where the photos or what is deployed are not fit for it."""
        found = target(stage, outputs, on)
        return cls(stage, outputs, found, bodies(photos(image, stage), on), instances(stage, outputs))

    def cost(self, asked: Asked) -> list[str] | None:
        """What it may cost, for a person; None where it costs nothing."""
        if self.stage.name == LOCAL:
            return None
        if asked.demand is not None:
            return guard.estimate(
                self.instances, self.target.region, asked.demand.seconds, asked.demand.rate, asked.on
            )
        return guard.estimate(
            self.instances, self.target.region, (MAX_STEPS + 1) * asked.step, None, asked.on
        )

    def run(self, demand: Demand) -> Result:
        """Make the load; Ctrl-C ends it early."""
        before = instances(self.stage, self.outputs)
        with _Bar(demand) as bar:
            measured = driver.run(self.target, demand, self.bodies, self.stage.environment, bar.on_sample)
        try:
            after = instances(self.stage, self.outputs)
        except KennelError:
            after = (
                None  # an update has begun meanwhile, or the load broke it: the figures are true all the same
            )
        return Result(self.stage.name, self.target, demand, measured, before, after)

    def capacity(self, asked: Asked, say: Say) -> Capacity:
        """Measure what one instance takes, and write it down for the simulation."""
        found = measure(self.run, asked.step, asked.criterion_ms, say)
        files.write_json(self.stage.directory / CAPACITY_FILE, found.to_dict())
        return found

    def write(self, result: Result, asked: Asked) -> Path:
        """Write the report, and the traffic where it is asked for."""
        if asked.traffic_file is not None:
            result.traffic().write(asked.traffic_file)
        began = datetime.fromtimestamp(result.measured.began, UTC)
        path = asked.output or self.stage.directory / "load" / f"{began:%Y%m%d-%H%M%S}.html"
        page.write(path, result)
        return path


def step_seconds(text: str | None) -> float:
    """How long each rate of a capacity is kept up; raises KennelError."""
    return DEFAULT_STEP if text is None else number("--for", text, above=1, most=MAX_STEP, unit="seconds")


def criterion(text: str | None) -> float:
    """Milliseconds; raises KennelError."""
    return P99_MS if text is None else number("--p99", text, above=0, most=60_000, unit="milliseconds")


def _new_file(name: str, text: str | None) -> Path | None:
    if text is None:
        return None
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise KennelError(f"{name} is a file in an existing folder.", text, f"Correct {name}.")
    return path


class _Bar:
    """Shows on stderr how far the load is, where that is a terminal."""

    def __init__(self, demand: Demand) -> None:
        self._bar = tqdm(
            total=round(demand.seconds, 1),
            desc="load",
            file=sys.stderr,
            ncols=79,
            leave=False,
            disable=None,
            bar_format="{desc}: {n:.0f}/{total:.0f} s{postfix}",
        )
        self._seconds = demand.seconds
        self._good = self._failed = 0

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def on_sample(self, sample: driver.Sample) -> None:
        self._good += not sample.fault
        self._failed += bool(sample.fault)
        if sample.done > self._bar.n:
            self._bar.set_postfix_str(f"{self._good:,} good, {self._failed:,} failed", refresh=False)
            self._bar.update(min(sample.done, self._seconds) - self._bar.n)
