from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from ml.search_space import Range, SearchSpace
from ml.tune.trials import TRIALS_FOR_IMPORTANCE, TuningTrial, best, importances

SPACE = SearchSpace.load("learning_rate,batch_size,head")


def trials(number: int, **changes: Any) -> list[TuningTrial]:
    """The loss hangs on the learning rate, less on the head, and on nothing else."""
    chance = np.random.default_rng(0)
    rates = SPACE.parameters["learning_rate"]
    assert isinstance(rates, Range)
    found = []
    for i in range(1, number + 1):
        rate = float(10 ** chance.uniform(math.log10(rates.low), math.log10(rates.high)))
        head = str(chance.choice(["linear", "two-layer"]))
        params = {"learning_rate": rate, "batch_size": int(chance.choice([16, 32, 64, 128])), "head": head}
        loss = abs(math.log10(rate) + 3) + 0.5 * (head == "linear")
        found.append(TuningTrial(i, "complete", params, loss))
    return found


def test_the_best_is_the_first_of_the_lowest_that_came_to_their_end() -> None:
    found = [
        TuningTrial(1, "complete", {}, 0.5),
        TuningTrial(2, "pruned", {}, 0.1),
        TuningTrial(3, "complete", {}, 0.2),
        TuningTrial(4, "complete", {}, 0.2),
        TuningTrial(5, "failed", {}),
        TuningTrial(6, "running", {}, 0.05),
    ]
    winner = best(found)
    assert winner is not None
    assert winner.number == 3
    assert best(found[4:]) is None


def test_what_the_loss_hangs_on_is_the_most_important() -> None:
    shares = importances(trials(40), SPACE)
    assert shares is not None
    assert list(shares) == ["learning_rate", "head", "batch_size"]
    assert shares["learning_rate"] > 0.5
    assert sum(shares.values()) == pytest.approx(1)
    assert shares == importances(trials(40), SPACE)


def test_too_few_or_equal_trials_tell_nothing() -> None:
    assert importances(trials(TRIALS_FOR_IMPORTANCE - 1), SPACE) is None
    equal = [TuningTrial(each.number, "complete", each.params, 0.5) for each in trials(20)]
    assert importances(equal, SPACE) is None
    assert importances([], SPACE) is None


def test_a_setting_that_never_changed_has_no_share() -> None:
    same = [
        TuningTrial(each.number, "complete", {**each.params, "batch_size": 16}, each.value)
        for each in trials(20)
    ]
    shares = importances(same, SPACE)
    assert shares is not None
    assert shares["batch_size"] == 0
    assert shares.keys() == SPACE.parameters.keys()
