"""What a tuning job tries next: at random, on a grid, or where Optuna's TPE expects the most."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from localcloud.sagemaker.jobs.ranges import Range, Words

if TYPE_CHECKING:
    import optuna

_TRIES = 100  # to find values that were not tried yet
Values = dict[str, str]


class Search(Protocol):
    def next(self) -> Values | None:
        """The values of the next trial; None when all have been tried."""

    def tell(self, values: Values, objective: float | None) -> None:
        """How a trial of these values ended; None: without a metric."""


class Random:
    def __init__(self, ranges: Sequence[Range], seed: int) -> None:
        self._ranges = ranges
        self._generator = random.Random(seed)  # noqa: S311 - no secret
        self._tried: set[tuple[str, ...]] = set()

    def next(self) -> Values | None:
        if len(self._tried) >= math.prod(one.combinations for one in self._ranges):
            return None
        while True:
            values = {one.name: one.draw(self._generator) for one in self._ranges}
            key = tuple(values.values())
            if key not in self._tried:
                self._tried.add(key)
                return values

    def tell(self, values: Values, objective: float | None) -> None:
        """Nothing: what comes next does not depend on it."""


class Grid:
    def __init__(self, ranges: Sequence[Words]) -> None:
        self._combinations = itertools.product(*(one.values for one in ranges))
        self._names = [one.name for one in ranges]

    def next(self) -> Values | None:
        values = next(self._combinations, None)
        return None if values is None else dict(zip(self._names, values, strict=True))

    def tell(self, values: Values, objective: float | None) -> None:
        """Nothing, as above."""


class Bayesian:
    """AWS uses Gaussian processes; Optuna's TPE is another method to the same end."""

    def __init__(self, ranges: Sequence[Range], seed: int, *, maximize: bool) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)  # trials run side by side
        self._study = optuna.create_study(sampler=sampler, direction="maximize" if maximize else "minimize")
        self._ranges = ranges
        self._trials: dict[tuple[str, ...], optuna.Trial] = {}
        self._fail = optuna.trial.TrialState.FAIL

    def next(self) -> Values | None:
        for _ in range(_TRIES):
            trial = self._study.ask()
            values = {one.name: one.suggest(trial) for one in self._ranges}
            key = tuple(values.values())
            if key not in self._trials:
                self._trials[key] = trial
                return values
            self._study.tell(trial, state=self._fail)  # tried before
        return None

    def tell(self, values: Values, objective: float | None) -> None:
        trial = self._trials[tuple(values.values())]
        if objective is None:
            self._study.tell(trial, state=self._fail)
        else:
            self._study.tell(trial, objective)


def start(strategy: str, ranges: Sequence[Range], seed: int, *, maximize: bool) -> Search:
    if strategy == "Grid":
        return Grid([one for one in ranges if isinstance(one, Words)])
    if strategy == "Random":
        return Random(ranges, seed)
    return Bayesian(ranges, seed, maximize=maximize)
