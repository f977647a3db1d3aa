"""What CreateHyperParameterTuningJob takes: AWS's rules, and what is not implemented here."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.utils import arn_formatter

from localcloud.sagemaker.jobs import ranges, requests, shapes
from localcloud.sagemaker.jobs.ranges import Range, Words

_NOT_IMPLEMENTED = ("TrainingJobDefinitions", "WarmStartConfig", "Autotune")
_NOT_IMPLEMENTED_CONFIG = ("StrategyConfig", "TuningJobCompletionCriteria")
_NOT_IMPLEMENTED_DEFINITION = ("TuningObjective", "HyperParameterRanges")
_OBJECTIVE = (
    "_tuning_objective_metric"  # the hyperparameter by which SageMaker tells a trial what it is judged by
)
_OF_TRIALS = (
    "RoleArn",
    "InputDataConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "VpcConfig",
    "StoppingCondition",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "CheckpointConfig",
    "RetryStrategy",
    "Environment",
)


@dataclass(frozen=True)
class Plan:
    """A valid request, read."""

    request: dict[str, Any]
    ranges: list[Range]
    strategy: str
    metric: str
    maximize: bool
    trials: int
    parallel: int
    early_stopping: bool
    seed: int | None

    def trial(self, name: str, values: dict[str, str]) -> dict[str, Any]:
        """The CreateTrainingJob request of a trial."""
        definition = self.request["TrainingJobDefinition"]
        static = definition.get("StaticHyperParameters") or {}
        shared = {key: definition[key] for key in _OF_TRIALS if definition.get(key) is not None}
        resources = definition.get("HyperParameterTuningResourceConfig")
        if resources:
            shared["ResourceConfig"] = resources
        return copy.deepcopy(
            {
                "TrainingJobName": name,
                "AlgorithmSpecification": definition["AlgorithmSpecification"],
                **shared,
                "HyperParameters": {_OBJECTIVE: self.metric, **static, **values},
                "Tags": self.request.get("Tags") or [],
            }
        )


def read(given: dict[str, Any], account_id: str, region: str) -> Plan:
    """Raise as `requests.complete` does."""
    shapes.check("CreateHyperParameterTuningJob", given)
    request = copy.deepcopy({name: value for name, value in given.items() if value is not None})
    _refuse("", request, _NOT_IMPLEMENTED)
    config = request["HyperParameterTuningJobConfig"]
    _refuse("", config, _NOT_IMPLEMENTED_CONFIG)
    if config["Strategy"] == "Hyperband":
        raise NotImplementedError("CreateHyperParameterTuningJob with Strategy Hyperband")
    definition = request.get("TrainingJobDefinition")
    if not definition:
        raise ValidationError("You must specify either TrainingJobDefinition or TrainingJobDefinitions.")
    _refuse("TrainingJobDefinition.", definition, _NOT_IMPLEMENTED_DEFINITION)
    resources = definition.get("HyperParameterTuningResourceConfig") or {}
    _refuse("HyperParameterTuningResourceConfig.", resources, ("AllocationStrategy", "InstanceConfigs"))
    config.setdefault("TrainingJobEarlyStoppingType", "Off")
    objective = config.get("HyperParameterTuningJobObjective") or {}
    searched = ranges.parse(config.get("ParameterRanges") or {})
    plan = Plan(
        request=request,
        ranges=searched,
        strategy=config["Strategy"],
        metric=_metric(objective, definition),
        maximize=objective["Type"] == "Maximize",
        trials=_trials(config, searched),
        parallel=config["ResourceLimits"]["MaxParallelTrainingJobs"],
        early_stopping=config["TrainingJobEarlyStoppingType"] == "Auto",
        seed=config.get("RandomSeed"),
    )
    if plan.parallel > plan.trials:
        raise ValidationError(
            f"MaxParallelTrainingJobs, [{plan.parallel}], must be equal to or less than "
            f"MaxNumberOfTrainingJobs, [{plan.trials}]."
        )
    static = definition.get("StaticHyperParameters") or {}
    both = sorted(static.keys() & {one.name for one in searched})
    if both:
        raise ValidationError(f"Hyperparameters can be static or tuned, not both: {both}.")
    arn = str(
        arn_formatter(
            "hyper-parameter-tuning-job", request["HyperParameterTuningJobName"], account_id, region
        )
    )
    requests.complete(plan.trial("trial", {one.name: "0" for one in searched}), account_id, region, arn)
    return plan


def _refuse(where: str, document: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if document.get(name):
            raise NotImplementedError(f"CreateHyperParameterTuningJob with {where}{name}")


def _metric(objective: dict[str, Any], definition: dict[str, Any]) -> str:
    known = [one["Name"] for one in definition["AlgorithmSpecification"].get("MetricDefinitions") or []]
    if objective.get("MetricName") not in known:
        raise ValidationError(
            "A metric is required for this hyperparameter tuning job objective. Provide a metric in the metric "
            "definitions."
        )
    return str(objective["MetricName"])


def _trials(config: dict[str, Any], searched: list[Range]) -> int:
    limits = config["ResourceLimits"]
    if limits.get("MaxRuntimeInSeconds"):
        raise NotImplementedError("CreateHyperParameterTuningJob with ResourceLimits.MaxRuntimeInSeconds")
    most = limits.get("MaxNumberOfTrainingJobs")
    combinations = math.prod(one.combinations for one in searched)
    if config["Strategy"] == "Grid":
        if not all(isinstance(one, Words) for one in searched):
            raise ValidationError("Grid search supports categorical hyperparameter ranges only.")
        if most is not None and most != combinations:
            raise ValidationError(
                f"MaxNumberOfTrainingJobs, [{most}], must be equal to the number of hyperparameter combinations, "
                f"[{int(combinations)}], for Grid search."
            )
        return int(combinations)
    if most is None:
        raise ValidationError(f"MaxNumberOfTrainingJobs is required for strategy {config['Strategy']}.")
    if combinations < most:
        raise ValidationError(
            "You don't have enough combinations of hyperparameter ranges. The total number of hyperparameter "
            f"combinations for the provided ranges [{float(combinations)}] must be equal or greater than the value "
            f"of MaxNumberOfJobs, [{most}]. Provide additional ranges."
        )
    return int(most)
