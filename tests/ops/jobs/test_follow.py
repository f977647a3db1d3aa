from __future__ import annotations

import datetime
import itertools
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from ml import metric_lines
from ml.errors import KennelError
from ops.jobs import follow as module
from ops.jobs.follow import Detached, JobError, follow
from ops.jobs.logs import Logs
from ops.jobs.request import LOG_GROUP

NAME = "kennel-dev-1"
STARTED = datetime.datetime(2026, 11, 23, 1, 2, 3, tzinfo=datetime.UTC)


class SageMaker:
    """Answers Describe with one description after another, the last for ever."""

    def __init__(self, *answers: Any, kind: str = "training") -> None:
        self.answers = list(answers)
        self.kind = kind
        self.trials: list[dict[str, Any]] = []

    def describe_training_job(self, **_: str) -> dict[str, Any]:
        return self._next("training")

    def describe_hyper_parameter_tuning_job(self, **_: str) -> dict[str, Any]:
        return self._next("tuning")

    def get_paginator(self, name: str) -> Any:
        assert name == "list_training_jobs_for_hyper_parameter_tuning_job"
        return self

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        return [{"TrainingJobSummaries": self.trials}]

    def _next(self, kind: str) -> dict[str, Any]:
        if kind != self.kind:
            raise ClientError(
                {"Error": {"Code": "ValidationException", "Message": "Requested resource not found."}},
                "Describe",
            )
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return dict(answer)


def state(status: str, *transitions: str, **more: Any) -> dict[str, Any]:
    return {
        "TrainingJobStatus": status,
        "SecondaryStatus": transitions[-1],
        "SecondaryStatusTransitions": [
            {"Status": each, "StartTime": STARTED, "StatusMessage": f"it is {each}"} for each in transitions
        ],
        "ResourceConfig": {"InstanceCount": 1},
        **more,
    }


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr(module.time, "sleep", waited.append)
    return waited


@pytest.fixture
def run(stage: Any, sleeps: list[float], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Follows what a SageMaker says; the logs are moto's."""
    real = stage.client

    def start(sagemaker: SageMaker, said: list[str]) -> dict[str, Any]:
        monkeypatch.setattr(stage, "client", lambda name: sagemaker if name == "sagemaker" else real(name))
        return follow(stage, NAME, said.append, progress=False)

    return start


def write(stage: Any, stream: str, *lines: tuple[float, str]) -> None:
    """Log lines, each at so many seconds."""
    logs = stage.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix=LOG_GROUP)["logGroups"]:
        logs.create_log_group(logGroupName=LOG_GROUP)
    if not logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=stream)["logStreams"]:
        logs.create_log_stream(logGroupName=LOG_GROUP, logStreamName=stream)
    now = int(datetime.datetime.now(datetime.UTC).timestamp() * 1000) - 100_000
    events = [{"timestamp": now + int(1000 * seconds), "message": text} for seconds, text in lines]
    logs.put_log_events(logGroupName=LOG_GROUP, logStreamName=stream, logEvents=events)


def test_states_are_told_as_they_come_and_once(run: Any) -> None:
    said: list[str] = []
    answers = [
        state("InProgress", "Starting"),
        state("InProgress", "Starting", "Downloading"),
        state("Completed", "Starting", "Downloading", "Training", "Completed"),
    ]
    assert run(SageMaker(answers[0], *answers), said)["TrainingJobStatus"] == "Completed"
    assert said == [
        "01:02:03 Starting: it is Starting",
        "01:02:03 Downloading: it is Downloading",
        "01:02:03 Training: it is Training",
        "01:02:03 Completed: it is Completed",
    ]


def test_what_spot_saved_is_told(run: Any) -> None:
    said: list[str] = []
    times = {"TrainingTimeInSeconds": 100, "BillableTimeInSeconds": 30}
    run(SageMaker(state("Completed", "Completed", **times)), said)
    assert said[-1] == "Billed: 30 s of 100 s on 1 instance(s), 70% saved by spot."


def test_lines_of_all_hosts_come_in_the_order_of_time(run: Any, stage: Any) -> None:
    write(stage, f"{NAME}/algo-1-1", (1, "first"), (3, "third"))
    write(stage, f"{NAME}/algo-2-1", (2, "second"))
    write(stage, "kennel-dev-11/algo-1-1", (2, "of another job"))
    said: list[str] = []
    run(SageMaker(state("Completed", "Completed")), said)
    assert said[:3] == ["algo-1: first", "algo-2: second", "algo-1: third"]
    assert "of another job" not in " ".join(said)


def test_one_hosts_lines_are_told_as_they_are(run: Any, stage: Any) -> None:
    write(stage, f"{NAME}/algo-1-1", (1, "hello"))
    said: list[str] = []
    run(SageMaker(state("Completed", "Completed")), said)
    assert said[0] == "hello"


def test_each_line_is_read_once_also_in_streams_that_come_later(stage: Any) -> None:
    logs = Logs(stage.client("logs"), LOG_GROUP, NAME)
    assert logs.fresh() == []  # not even a group
    write(stage, f"{NAME}/algo-1-1", *((number / 100, str(number)) for number in range(300)))
    assert [line.text for line in logs.fresh()] == [str(number) for number in range(300)]
    write(stage, f"{NAME}/algo-1-2", (5, "gone on"))
    write(stage, f"{NAME}/algo-1-1", (4, "last"))
    assert [line.text for line in logs.fresh()] == ["last", "gone on"]
    assert logs.fresh() == []


def test_lines_that_come_after_the_jobs_end_are_told(
    run: Any, stage: Any, sleeps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(seconds: float) -> None:
        if not sleeps:
            write(stage, f"{NAME}/algo-1-1", (1, "late"))
        sleeps.append(seconds)

    monkeypatch.setattr(module.time, "sleep", late)
    said: list[str] = []
    run(SageMaker(state("Completed", "Completed")), said)
    assert "late" in said


def test_epochs_move_the_bar(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"epoch": 3, "train_loss": 1.0, "valid_loss": 0.5, "best_valid_loss": 0.25}
    write(stage, f"{NAME}/algo-1-1", (1, metric_lines.line(row, 10)))
    view = module._Training(SageMaker(), stage.client("logs"), NAME, lambda _: None, progress=False)
    view.show(state("InProgress", "Training"))
    assert (view._bar.n, view._bar.total) == (3, 10)
    view.close()


def test_a_failure_is_told_with_its_reason_and_the_end_of_the_log(run: Any, stage: Any) -> None:
    write(stage, f"{NAME}/algo-1-1", *((number, f"line {number}") for number in range(30)))
    failed = state("Failed", "Failed", FailureReason="AlgorithmError: no memory, exit code: 1")
    with pytest.raises(JobError, match=r"AlgorithmError: no memory[\s\S]*line 15\n[\s\S]*line 29") as caught:
        run(SageMaker(failed), [])
    assert "line 14\n" not in str(caught.value)


def test_a_job_out_of_time_is_told_to_go_on_from_its_checkpoints(run: Any) -> None:
    kept = {"CheckpointConfig": {"S3Uri": "s3://kept/here/"}}
    with pytest.raises(JobError, match=r"MaxRuntimeExceeded[\s\S]*more time; --checkpoints s3://kept/here/"):
        run(SageMaker(state("Stopped", "Training", "MaxRuntimeExceeded", **kept)), [])


def test_a_job_that_somebody_stopped_can_be_started_again_from_its_checkpoints(run: Any) -> None:
    kept = {"CheckpointConfig": {"S3Uri": "s3://kept/here/"}}
    with pytest.raises(JobError, match=r"Start it again; --checkpoints s3://kept/here/ goes on"):
        run(SageMaker(state("Stopped", "Stopping", "Stopped", **kept)), [])


def test_no_job_of_the_name_is_told(run: Any) -> None:
    with pytest.raises(JobError, match=r"A job to follow exists[\s\S]*\./inv jobs"):
        run(SageMaker({}, kind="neither"), [])


def test_throttling_is_waited_out_longer_each_time(run: Any, sleeps: list[float]) -> None:
    throttled = ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "Describe")
    done = state("Completed", "Completed")
    run(SageMaker(done, throttled, throttled, throttled, done), [])
    assert sleeps[:3] == [2.0, 4.0, 8.0]


def test_a_service_out_of_reach_is_given_up_after_a_while(
    run: Any, sleeps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.time, "monotonic", itertools.count(0, 200).__next__)
    down = EndpointConnectionError(endpoint_url="https://sagemaker")
    said: list[str] = []
    with pytest.raises(KennelError, match=r"AWS can be reached[\s\S]*attach to it again"):
        run(SageMaker(down), said)
    assert sleeps
    assert [line.partition(":")[0] for line in said] == ["Not to be reached, trying again for 10 minutes"]


def test_rights_that_lack_are_told_at_once(run: Any) -> None:
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": ""}}, "Describe")
    with pytest.raises(KennelError, match=r"can be watched[\s\S]*logs:GetLogEvents"):
        run(SageMaker(denied), [])


def test_ctrl_c_leaves_the_job_alone_and_says_how_to_come_back(run: Any) -> None:
    sagemaker = SageMaker(state("InProgress", "Training"), KeyboardInterrupt())
    with pytest.raises(
        Detached, match=rf"--attach {NAME} --stage dev .*\./inv jobs --stop {NAME} --stage dev "
    ):
        run(sagemaker, [])


def trial(number: int, status: str, loss: float | None = None, **more: Any) -> dict[str, Any]:
    metric = {"MetricName": "valid:best_loss", "Value": loss}
    return {
        "TrainingJobName": f"{NAME}-00{number}-abc",
        "TrainingJobStatus": status,
        "TunedHyperParameters": {"learning_rate": "0.00316227766", "batch_size": "32", "head": "linear"},
        **({} if loss is None else {"FinalHyperParameterTuningJobObjectiveMetric": metric}),
        **more,
    }


def test_trials_are_told_as_they_end(run: Any) -> None:
    sagemaker = SageMaker(
        {
            "HyperParameterTuningJobStatus": "Completed",
            "HyperParameterTuningJobConfig": {"ResourceLimits": {"MaxNumberOfTrainingJobs": 2}},
            "TrainingJobStatusCounters": {"Completed": 1, "InProgress": 0},
            "BestTrainingJob": trial(1, "Completed", 0.125),
        },
        kind="tuning",
    )
    failed = trial(2, "Failed", FailureReason="AlgorithmError: out of memory\nat length")
    sagemaker.trials = [trial(1, "Completed", 0.125), failed]
    said: list[str] = []
    assert run(sagemaker, said)["BestTrainingJob"]["TrainingJobStatus"] == "Completed"
    assert said == [
        "trial  status          loss  settings",
        "  001  Completed     0.1250  batch_size=32 head=linear learning_rate=0.00316",
        "  002  Failed                batch_size=32 head=linear learning_rate=0.00316",
        "       AlgorithmError: out of memory",
    ]


def test_a_tuning_job_that_was_stopped_still_gives_its_best_trial(run: Any) -> None:
    stopped = {
        "HyperParameterTuningJobStatus": "Stopped",
        "HyperParameterTuningJobConfig": {"ResourceLimits": {"MaxNumberOfTrainingJobs": 9}},
        "TrainingJobStatusCounters": {"Completed": 1, "Stopped": 1},
    }
    said: list[str] = []
    best = {"BestTrainingJob": trial(1, "Completed", 0.125)}
    assert run(SageMaker({**stopped, **best}, kind="tuning"), said)["BestTrainingJob"]
    assert "trials that it had completed" in said[-1]
    with pytest.raises(JobError, match="Stopped"):
        run(SageMaker(stopped, kind="tuning"), said)
