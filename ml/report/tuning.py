"""One HTML file that shows what tuning tried and found, whoever ran the trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml.config import TrainConfig
from ml.report import page
from ml.report.tuning_charts import curves_chart, history_chart, parallel_chart, shares, shown
from ml.search_space import Range, SearchSpace
from ml.tune.trials import TRIALS_FOR_IMPORTANCE, TuningTrial, best, importances


@dataclass(frozen=True)
class TuningReport:
    """All that a tuning report shows."""

    title: str
    space: SearchSpace
    trials: Sequence[TuningTrial]  # by number
    config: Mapping[str, Any]  # the best trial's settings, complete
    command: str  # that trains with them
    facts: Mapping[str, Any] = field(default_factory=dict)  # about the data and where the trials ran


def write_tuning_report(path: Path, report: TuningReport) -> None:
    """Writes the report to `path`, whole or not at all."""
    page.write(path, render(report))


def render(report: TuningReport) -> str:
    found = importances(report.trials, report.space)
    winner = best(report.trials)
    states = Counter(trial.state for trial in report.trials)
    timed = [trial.seconds for trial in report.trials if trial.seconds is not None]
    return page.render(
        "tuning.html.j2",
        report=report,
        best=winner,
        usual={name: shown(getattr(TrainConfig, name)) for name in report.space.parameters},
        searched={name: _words(report.space, name) for name in report.space.parameters},
        searched_number={
            name: not isinstance(parameter.edges[0], str)
            for name, parameter in report.space.parameters.items()
        },
        states=states,
        seconds=sum(timed) if timed else None,
        history=history_chart(report.trials),
        curves=curves_chart(report.trials),
        parallel=parallel_chart(report.trials, report.space),
        importances=shares(found) if found else None,
        too_few=TRIALS_FOR_IMPORTANCE if states["complete"] < TRIALS_FOR_IMPORTANCE else None,
        shown=shown,
        config=list(page.flatten(report.config)),
        facts=list(page.flatten(report.facts)),
    )


def _words(space: SearchSpace, name: str) -> str:
    parameter = space.parameters[name]
    if isinstance(parameter, Range):
        return f"{parameter.low:g} to {parameter.high:g}{', by its logarithm' if parameter.log else ''}"
    return ", ".join(str(value) for value in parameter.values)
