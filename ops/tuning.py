"""Tunes for a stage, on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.errors import KennelError
from ml.search_space import SearchSpace
from ops import training
from ops.paths import WORK
from ops.stage import Stage


@dataclass(frozen=True)
class Tuned:
    """What tuning has left, wherever its trials ran."""

    config_file: Path  # the best settings, complete: what `train --config` takes
    report: Path
    best_loss: float  # of the validation split


def tune(
    stage: Stage,
    given: dict[str, Any],
    config_file: str | None = None,
    *,
    trials: int,
    search: str | None = None,
    space_file: str | None = None,
    study: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Tuned:
    """Search for the best of the settings that are not given, until the study has so many finished trials.

    Raises:
        KennelError: a setting, the search space or the data breaks a rule, or the study is another's.
    """
    if trials < 1:
        raise KennelError("--trials is a whole number from 1.", trials, "Correct --trials.")
    config = training.configuration(given, config_file)
    space = space_of(given, search, space_file).checked(config)
    training.lead_to_data(stage, config.data)
    # Here: torch and Optuna take seconds to import, and a bad setting none to tell.
    from ml.tune import study as studies

    tuned = studies.tune(config, space, trials=trials, work_dir=WORK, name=study)
    done = len(tuned.trials)
    say(f"Trial {tuned.best.number} of {done} is the best. {_goes_on(done, trials)}")
    return Tuned(tuned.config_file, tuned.report, tuned.best_loss)


def space_of(given: dict[str, Any], search: str | None, file: str | None) -> SearchSpace:
    """What is searched: what is given is not.

    Raises:
        KennelError: a name or a range breaks a rule.
    """
    return SearchSpace.load(search, file, fixed=[name for name, value in given.items() if value is not None])


def _goes_on(done: int, trials: int) -> str:
    if done > trials:
        return f"The study had more than the {trials} asked for already."
    return f"The same command with --trials {2 * trials} goes on from here."
