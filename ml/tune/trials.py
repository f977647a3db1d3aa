"""What a trial came to: the same description whether Optuna ran it here or SageMaker there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ml.search_space import Range, SearchSpace

TrialState = Literal["complete", "pruned", "failed", "running"]

# Fewer cannot tell the work of a setting from chance.
TRIALS_FOR_IMPORTANCE = 8


@dataclass(frozen=True)
class TuningTrial:
    number: int  # from 1
    state: TrialState
    params: Mapping[str, Any]
    value: float | None = None  # the best validation loss; of a pruned trial, so far
    history: Sequence[tuple[int, float]] = ()  # (epoch, validation loss)
    seconds: float | None = None
    accuracy: float | None = None  # on the validation split, in the best epoch
    note: str = ""  # why it failed, or what it is called elsewhere


def best(trials: Iterable[TuningTrial]) -> TuningTrial | None:
    """The first of the lowest loss, among those that came to their end."""
    done = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    return min(done, key=lambda trial: (trial.value, trial.number), default=None)


def importances(trials: Iterable[TuningTrial], space: SearchSpace) -> dict[str, float] | None:
    """The share of each setting in how much the loss varies, the largest first; None where too few trials tell.

    By functional ANOVA over a random forest (Hutter et al., 2014): also where a setting works through another one.
    """
    import optuna

    done = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    varied = [name for name in space.parameters if len({str(trial.params.get(name)) for trial in done}) > 1]
    if len(done) < TRIALS_FOR_IMPORTANCE or not varied or len({trial.value for trial in done}) == 1:
        return None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(storage=optuna.storages.InMemoryStorage())
    distributions: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.FloatDistribution(parameter.low, parameter.high, log=parameter.log)
        if isinstance(parameter, Range)
        else optuna.distributions.CategoricalDistribution(parameter.values)
        for name, parameter in space.parameters.items()
    }
    study.add_trials(
        [
            optuna.trial.create_trial(
                params=dict(trial.params), distributions=distributions, value=trial.value
            )
            for trial in done
        ]
    )
    shares = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0), params=varied
    )
    return {**shares, **{name: 0.0 for name in space.parameters if name not in shares}}
