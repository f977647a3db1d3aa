from __future__ import annotations

import itertools
import json
import random
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud import control
from localcloud.control import CloudInfo
from localcloud.sagemaker.jobs.ranges import Number, Words, parse
from localcloud.sagemaker.jobs.search import Bayesian, Random
from tests.localcloud.training import ACCOUNT, IMAGE, ROLE, Trainer, check_answer, start_cloud

ARN = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:hyper-parameter-tuning-job"
X = r'x=$(sed "s/.*\"x\": \"\([^\"]*\)\".*/\1/" /opt/ml/input/config/hyperparameters.json); '
CONTINUOUS = {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "10"}]}
COLOURS = {
    "CategoricalParameterRanges": [
        {"Name": "x", "Values": ["1", "2", "3"]},
        {"Name": "colour", "Values": ["red", "blue"]},
    ]
}
_numbers = itertools.count(1)


class Tuner:
    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.sagemaker = trainer.sagemaker

    def request(self, script: str, **more: Any) -> dict[str, Any]:
        limits = {
            "MaxNumberOfTrainingJobs": more.pop("trials", 3),
            "MaxParallelTrainingJobs": more.pop("parallel", 3),
        }
        definition = {
            "StaticHyperParameters": {"fixed": "1"},
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "objective", "Regex": r"objective=([0-9.e-]+)"}],
            },
            "RoleArn": ROLE,
            "OutputDataConfig": {"S3OutputPath": "s3://training/tuned"},
            "ResourceConfig": {
                "InstanceType": more.pop("instance_type", "ml.m5.large"),
                "InstanceCount": 1,
                "VolumeSizeInGB": 1,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            "Environment": {"SCRIPT": script},
            **more.pop("definition", {}),
        }
        config = {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "objective"},
            "ResourceLimits": {name: value for name, value in limits.items() if value is not None},
            "ParameterRanges": CONTINUOUS,
            "RandomSeed": 1,
            **more.pop("config", {}),
        }
        return {
            "HyperParameterTuningJobName": f"tune-{next(_numbers)}",
            "HyperParameterTuningJobConfig": config,
            "TrainingJobDefinition": definition,
            **more,
        }

    def start(self, script: str, **more: Any) -> str:
        request = self.request(script, **more)
        name = str(request["HyperParameterTuningJobName"])
        answer = self.sagemaker.create_hyper_parameter_tuning_job(**request)
        assert answer["HyperParameterTuningJobArn"] == f"{ARN}/{name}"
        return name

    def run(self, script: str, **more: Any) -> dict[str, Any]:
        return self.over(self.start(script, **more))

    def describe(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.sagemaker.describe_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name
        )
        check_answer("DescribeHyperParameterTuningJob", answer)
        return answer

    def over(self, name: str) -> dict[str, Any]:
        deadline = time.monotonic() + 40
        while "HyperParameterTuningEndTime" not in (job := self.describe(name)):
            assert time.monotonic() < deadline, job
            time.sleep(0.05)
        return job

    def trials(self, name: str, **request: Any) -> list[dict[str, Any]]:
        answer = self.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name, MaxResults=100, **request
        )
        check_answer("ListTrainingJobsForHyperParameterTuningJob", answer)
        summaries: list[dict[str, Any]] = answer["TrainingJobSummaries"]
        return summaries


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudInfo]:
    info = start_cloud(tmp_path_factory.mktemp("cloud"))
    yield info
    control.stop(info.log_file.parent)


@pytest.fixture(scope="module")
def tuner(cloud: CloudInfo, connect: Callable[[CloudInfo], Callable[[str], Any]]) -> Tuner:
    return Tuner(Trainer(connect(cloud)))


def most_at_a_time(trials: list[dict[str, Any]]) -> int:
    starts = [(trial["CreationTime"], 1) for trial in trials]
    ends = [(trial["TrainingEndTime"], -1) for trial in trials]
    return max(itertools.accumulate(change for _, change in sorted(starts + ends)))


def objective(trial: dict[str, Any]) -> float:
    return float(trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])


# Life


def test_six_trials_run_two_at_a_time_and_the_best_is_told(tuner: Tuner) -> None:
    job = tuner.run(X + "echo objective=$x; echo $x > /opt/ml/model/x; sleep 0.3", trials=6, parallel=2)
    name = job["HyperParameterTuningJobName"]
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"] == {
        "Completed": 6,
        "InProgress": 0,
        "RetryableError": 0,
        "NonRetryableError": 0,
        "Stopped": 0,
    }
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 6, "Pending": 0, "Failed": 0}
    trials = tuner.trials(name, SortBy="FinalObjectiveMetricValue")
    assert most_at_a_time(trials) == 2
    assert len({trial["TunedHyperParameters"]["x"] for trial in trials}) == 6
    for trial in trials:
        assert re.fullmatch(rf"{name}-00[1-6]-[0-9a-f]{{8}}", trial["TrainingJobName"])
        assert objective(trial) == pytest.approx(float(trial["TunedHyperParameters"]["x"]), rel=1e-6)
    values = [objective(trial) for trial in trials]
    assert values == sorted(values)
    best = job["BestTrainingJob"]
    assert best["TrainingJobName"] == trials[0]["TrainingJobName"]
    assert best["FinalHyperParameterTuningJobObjectiveMetric"] == {
        "Type": "Minimize",
        "MetricName": "objective",
        "Value": values[0],
    }
    x = best["TunedHyperParameters"]["x"]
    body = tuner.trainer.s3.list_objects_v2(Bucket="training", Prefix=f"tuned/{best['TrainingJobName']}/")
    assert [one["Key"] for one in body["Contents"]] == [
        f"tuned/{best['TrainingJobName']}/output/model.tar.gz"
    ]
    trial = tuner.trainer.describe(best["TrainingJobName"])
    assert trial["HyperParameters"] == {"_tuning_objective_metric": "objective", "fixed": "1", "x": x}
    assert trial["TuningJobArn"] == job["HyperParameterTuningJobArn"]


def test_the_greatest_value_is_the_best_where_the_objective_is_to_be_maximized(tuner: Tuner) -> None:
    config = {"HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "objective"}}
    job = tuner.run(X + "echo objective=$x", config=config)
    values = [objective(trial) for trial in tuner.trials(job["HyperParameterTuningJobName"])]
    assert objective(job["BestTrainingJob"]) == max(values)


def test_a_grid_is_tried_completely(tuner: Tuner) -> None:
    config = {"Strategy": "Grid", "ParameterRanges": COLOURS}
    job = tuner.run(X + "echo objective=$x", trials=None, parallel=4, config=config)
    tried = [trial["TunedHyperParameters"] for trial in tuner.trials(job["HyperParameterTuningJobName"])]
    assert sorted((one["x"], one["colour"]) for one in tried) == sorted(
        itertools.product(["1", "2", "3"], ["red", "blue"])
    )


def test_a_bayesian_search_uses_what_it_has_seen(tuner: Tuner) -> None:
    config = {"Strategy": "Bayesian"}
    job = tuner.run(X + "echo objective=$x", trials=4, parallel=2, config=config)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert len(tuner.trials(job["HyperParameterTuningJobName"])) == 4


def test_one_seed_gives_the_same_trials_again(tuner: Tuner) -> None:
    tried = []
    for _ in range(2):
        job = tuner.run(X + "echo objective=$x")
        trials = tuner.trials(job["HyperParameterTuningJobName"], SortBy="Name")
        tried.append([trial["TunedHyperParameters"] for trial in trials])
    assert tried[0] == tried[1]


def test_a_failed_trial_does_not_fail_the_job(tuner: Tuner) -> None:
    config = {"Strategy": "Grid", "ParameterRanges": COLOURS}
    job = tuner.run(X + 'test "$x" != 2 || exit 1; echo objective=$x', trials=6, parallel=1, config=config)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    counters = job["TrainingJobStatusCounters"]
    assert (counters["Completed"], counters["NonRetryableError"]) == (4, 2)
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 4, "Pending": 0, "Failed": 2}
    failed = tuner.trials(job["HyperParameterTuningJobName"], StatusEquals="Failed")
    assert {trial["FailureReason"] for trial in failed} == {"AlgorithmError: , exit code: 1"}
    assert {trial["ObjectiveStatus"] for trial in failed} == {"Failed"}
    name = job["HyperParameterTuningJobName"]
    assert len(tuner.trials(name, SortBy="FinalObjectiveMetricValue")) == 4  # those that have one
    assert objective(job["BestTrainingJob"]) == 1


@pytest.mark.parametrize(
    ("script", "trials", "attempts"), [("exit 1", 2, 2), ("exit 1", 9, 5), ("true", 2, 2)]
)
def test_a_job_without_a_success_fails(tuner: Tuner, script: str, trials: int, attempts: int) -> None:
    job = tuner.run(script, trials=trials, parallel=1)
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert job["FailureReason"] == (
        f"No training job succeeded after {attempts} attempts. Please take a look at the training job failures to "
        "get more details."
    )
    assert len(tuner.trials(job["HyperParameterTuningJobName"])) == attempts


def test_stopping_a_job_stops_its_trials(tuner: Tuner) -> None:
    name = tuner.start(X + "trap 'exit 0' TERM; echo objective=$x; while :; do sleep 0.05; done", parallel=2)
    deadline = time.monotonic() + 20
    while [trial["TrainingJobStatus"] for trial in tuner.trials(name)] != ["InProgress"] * 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    tuner.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    assert tuner.describe(name)["HyperParameterTuningJobStatus"] in ("Stopping", "Stopped")
    job = tuner.over(name)
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    assert [trial["TrainingJobStatus"] for trial in tuner.trials(name)] == ["Stopped"] * 2
    with pytest.raises(ClientError, match="is in status Stopped"):
        tuner.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)


def test_trials_worse_than_the_median_are_stopped_early(tuner: Tuner) -> None:
    script = X + 'echo objective=$x; test "$x" != 9 || while :; do sleep 0.05; done'
    grid = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["1", "2", "3", "9"]}]}
    config = {"Strategy": "Grid", "ParameterRanges": grid, "TrainingJobEarlyStoppingType": "Auto"}
    job = tuner.run(script, trials=4, parallel=1, config=config)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    trials = tuner.trials(job["HyperParameterTuningJobName"], SortBy="Name")
    assert [trial["TrainingJobStatus"] for trial in trials] == ["Completed"] * 3 + ["Stopped"]
    assert trials[-1]["ObjectiveStatus"] == "Succeeded"  # as far as it came


def test_trials_wait_for_instances(tuner: Tuner) -> None:
    """The cloud has four of a type."""
    job = tuner.run(X + "echo objective=$x; sleep 0.3", trials=6, parallel=6, instance_type="ml.c5.xlarge")
    assert job["TrainingJobStatusCounters"]["Completed"] == 6
    assert most_at_a_time(tuner.trials(job["HyperParameterTuningJobName"])) <= 4


def test_jobs_are_listed_and_deleted(tuner: Tuner) -> None:
    names = [
        tuner.run(X + "echo objective=$x", HyperParameterTuningJobName=f"listed-{n}")[
            "HyperParameterTuningJobName"
        ]
        for n in (2, 1)
    ]
    answer = tuner.sagemaker.list_hyper_parameter_tuning_jobs(NameContains="listed-", SortBy="Name")
    check_answer("ListHyperParameterTuningJobs", answer)
    listed = [one["HyperParameterTuningJobName"] for one in answer["HyperParameterTuningJobSummaries"]]
    assert listed == sorted(names)
    tuner.sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName="listed-1")
    with pytest.raises(ClientError, match="ResourceNotFound"):
        tuner.describe("listed-1")


def test_tags_of_a_job_are_those_of_its_trials(tuner: Tuner) -> None:
    tags = [{"Key": "k", "Value": "v"}]
    job = tuner.run(X + "echo objective=$x", Tags=tags)
    for arn in (job["HyperParameterTuningJobArn"], job["BestTrainingJob"]["TrainingJobArn"]):
        assert tuner.sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags


# Requests


def refused(tuner: Tuner, **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        tuner.start("true", **request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def integers(low: str, high: str, **more: str) -> dict[str, Any]:
    entry = {"Name": "x", "MinValue": low, "MaxValue": high, **more}
    return {"ParameterRanges": {"IntegerParameterRanges": [entry]}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"HyperParameterTuningJobName": "a" * 33}, "Member must have length less than or equal to 32"),
        (
            {"config": integers("1", "2")},
            "The total number of hyperparameter combinations for the provided ranges",
        ),
        ({"config": integers("a", "2")}, "must be given by integers"),
        ({"config": integers("3", "2")}, "must have a minimum that is not above its maximum"),
        ({"config": integers("0", "9", ScalingType="Logarithmic")}, "must be above 0"),
        (
            {"config": integers("0", "9", ScalingType="ReverseLogarithmic")},
            "must be continuous and within 0 <= x",
        ),
        ({"config": {"ParameterRanges": {}}}, "At least one hyperparameter range is required"),
        ({"config": {"Strategy": "Grid"}}, "Grid search supports categorical hyperparameter ranges only"),
        (
            {"trials": 5, "config": {"Strategy": "Grid", "ParameterRanges": COLOURS}},
            "must be equal to the number",
        ),
        ({"parallel": 4}, "MaxParallelTrainingJobs, [4], must be equal to or less than"),
        (
            {"config": {"HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "other"}}},
            "A metric is required for this hyperparameter tuning job objective.",
        ),
        ({"definition": {"StaticHyperParameters": {"x": "1"}}}, "can be static or tuned, not both"),
        ({"definition": {"RoleArn": f"{ROLE}-absent"}}, f"Could not assume role {ROLE}-absent"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value[:40],
)
def test_what_aws_refuses_is_refused(tuner: Tuner, change: dict[str, Any], message: str) -> None:
    code, said = refused(tuner, **change)
    assert code == "ValidationException"
    assert message in said


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"config": {"Strategy": "Hyperband"}}, "Strategy Hyperband"),
        ({"Autotune": {"Mode": "Enabled"}}, "Autotune"),
        (
            {
                "WarmStartConfig": {
                    "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "p"}],
                    "WarmStartType": "TransferLearning",
                }
            },
            "WarmStartConfig",
        ),
        (
            {"config": {"TuningJobCompletionCriteria": {"TargetObjectiveMetricValue": 1}}},
            "CompletionCriteria",
        ),
    ],
    ids=lambda value: None if isinstance(value, dict) else value,
)
def test_what_is_not_implemented_is_named(tuner: Tuner, change: dict[str, Any], named: str) -> None:
    code, said = refused(tuner, **change)
    assert code == "NotImplemented"
    assert named in said


def test_a_name_is_taken_once(tuner: Tuner) -> None:
    name = tuner.run(X + "echo objective=$x")["HyperParameterTuningJobName"]
    code, said = refused(tuner, HyperParameterTuningJobName=name)
    assert code == "ResourceInUse"
    assert said.endswith(f"({ARN}/{name})")


# Ranges and strategies


def numbers(low: float, high: float, scale: str, kind: str = "Continuous") -> Number:
    entry = {"Name": "x", "MinValue": str(low), "MaxValue": str(high), "ScalingType": scale}
    (found,) = parse({f"{kind}ParameterRanges": [entry]})
    assert isinstance(found, Number)
    return found


@pytest.mark.parametrize(
    ("low", "high", "scale", "median"),
    [
        (0.0, 8.0, "Linear", 4.0),
        (0.0001, 1.0, "Logarithmic", 0.01),
        (0.0001, 1.0, "Auto", 0.01),
        (1.0, 9.0, "Auto", 5.0),
        (0.0, 0.9999, "ReverseLogarithmic", 0.99),
    ],
)
def test_a_range_is_searched_on_its_scale(low: float, high: float, scale: str, median: float) -> None:
    generator = random.Random(1)  # noqa: S311
    drawn = sorted(float(numbers(low, high, scale).draw(generator)) for _ in range(2001))
    assert low <= drawn[0]
    assert drawn[-1] <= high
    assert drawn[1000] == pytest.approx(median, rel=0.15)


def test_whole_numbers_are_as_likely_at_the_edges() -> None:
    generator = random.Random(1)  # noqa: S311
    drawn = [numbers(1, 4, "Linear", "Integer").draw(generator) for _ in range(4000)]
    assert set(drawn) == {"1", "2", "3", "4"}
    assert all(drawn.count(value) == pytest.approx(1000, rel=0.15) for value in set(drawn))


def test_a_random_search_tries_nothing_twice_and_ends() -> None:
    search = Random([Words("a", ("1", "2")), numbers(1, 3, "Linear", "Integer")], seed=1)
    found = [search.next() for _ in range(7)]
    assert found[6] is None
    assert len({json.dumps(one) for one in found[:6]}) == 6


def test_a_bayesian_search_comes_nearer_than_a_random_one() -> None:
    ranges = [numbers(-10, 10, "Linear"), Words("word", ("a", "b", "c"))]

    def best_of(search: Random | Bayesian) -> float:
        found = []
        for _ in range(40):
            values = search.next()
            assert values is not None
            found.append(abs(float(values["x"]) - 3) + (0 if values["word"] == "b" else 5))
            search.tell(values, found[-1])
        return min(found)

    seeds = range(5)
    bayesian = sorted(best_of(Bayesian(ranges, seed, maximize=False)) for seed in seeds)[2]
    at_random = sorted(best_of(Random(ranges, seed)) for seed in seeds)[2]
    assert bayesian < at_random
