from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ml.config import TrainConfig
from ml.search_space import SearchSpace, SpaceError
from ops.jobs import rights, sagemaker, source
from ops.jobs.follow import Detached, JobError
from ops.jobs.options import JobOptions, OptionError
from tests.conftest import MakePhotos


class SageMaker:
    """Takes requests and remembers them, or refuses all with a code."""

    def __init__(self, refuses: str | None = None) -> None:
        self.refuses = refuses
        self.requests: list[dict[str, Any]] = []

    def create_training_job(self, **request: Any) -> None:
        self._take(request)

    def create_hyper_parameter_tuning_job(self, **request: Any) -> None:
        self._take(request)

    def list_training_jobs(self, **query: Any) -> dict[str, Any]:
        assert query["NameContains"] == "kennel-dev-"
        return {"TrainingJobSummaries": [job("TrainingJob", name, hour) for hour, name in enumerate(NAMES)]}

    def list_hyper_parameter_tuning_jobs(self, **query: Any) -> dict[str, Any]:
        return {"HyperParameterTuningJobSummaries": [job("HyperParameterTuningJob", "kennel-dev-tune", 1)]}

    def list_transform_jobs(self, **query: Any) -> dict[str, Any]:
        return {"TransformJobSummaries": [job("TransformJob", "kennel-dev-bulk", 9)]}

    def _take(self, request: dict[str, Any]) -> None:
        if self.refuses:
            raise ClientError({"Error": {"Code": self.refuses, "Message": "no"}}, "Create")
        self.requests.append(request)


NAMES = ("kennel-dev-1", "old-kennel-dev-2", "kennel-dev-3")


def job(kind: str, name: str, hour: int) -> dict[str, Any]:
    created = datetime.datetime(2026, 11, 23, hour, tzinfo=datetime.UTC)
    return {f"{kind}Name": name, f"{kind}Status": "Completed", "CreationTime": created}


@pytest.fixture
def service(stage: Any, monkeypatch: pytest.MonkeyPatch) -> SageMaker:
    """SageMaker that starts nothing; S3 is moto's, and the role may do everything."""
    fake, real = SageMaker(), stage.client
    monkeypatch.setattr(stage, "client", lambda name: fake if name == "sagemaker" else real(name))
    monkeypatch.setattr(rights, "_refused", lambda *_: [])
    return fake


@pytest.fixture(autouse=True)
def work_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the project's own cache is touched."""
    for function in (sagemaker.preflight.check, sagemaker.preflight.check_data, source.upload_data):
        assert function.__kwdefaults__ is not None
        defaults = {**function.__kwdefaults__, "work_dir": tmp_path / "work", "progress": False}
        monkeypatch.setattr(function, "__kwdefaults__", defaults)


def channels(request: dict[str, Any]) -> dict[str, str]:
    definition = request.get("TrainingJobDefinition", request)
    return {
        channel["ChannelName"]: channel["DataSource"]["S3DataSource"]["S3Uri"]
        for channel in definition["InputDataConfig"]
    }


def uploaded(stage: Any, uri: str) -> list[str]:
    bucket, prefix = source.split_uri(uri)
    return sorted(key.removeprefix(prefix) for key in source.sizes(stage.client("s3"), bucket, prefix))


def test_a_training_job_gets_its_code_photos_and_weights_uploaded(
    stage: Any, outputs: dict[str, Any], service: SageMaker, make_photos: MakePhotos, tmp_path: Path
) -> None:
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(b"weights")
    config = TrainConfig(data=str(make_photos()), batch_size=8, weights=str(weights))
    said: list[str] = []
    name = sagemaker.start_training(stage, outputs, config, JobOptions(), said.append)
    found = channels(service.requests[0])
    assert service.requests[0]["TrainingJobName"] == name
    assert said == [f"Started the training job {name} on 1 × ml.g4dn.xlarge."]
    assert uploaded(stage, found["code"]) == ["source.tar.gz"]
    assert len(uploaded(stage, found["data"])) == 16
    assert uploaded(stage, found["weights"]) == ["mine.safetensors"]


def test_ctrl_c_once_a_job_has_been_started_says_how_to_come_back(
    stage: Any, outputs: dict[str, Any], service: SageMaker, make_photos: MakePhotos
) -> None:
    def interrupt(text: str) -> None:
        raise KeyboardInterrupt

    config = TrainConfig(data=str(make_photos()), batch_size=8)
    options = JobOptions(name="kennel-dev-mine")
    with pytest.raises(Detached, match="--attach kennel-dev-mine --stage dev"):
        sagemaker.start_training(stage, outputs, config, options, interrupt)
    assert len(service.requests) == 1


def test_photos_in_a_bucket_are_read_where_they_are(
    stage: Any, outputs: dict[str, Any], service: SageMaker
) -> None:
    client = stage.client("s3")
    client.create_bucket(Bucket="theirs")
    for number in range(6):
        client.put_object(Bucket="theirs", Key=f"dogs/{'ab'[number % 2]}/{number}.jpg", Body=b"photo")
    sagemaker.start_training(
        stage, outputs, TrainConfig(data="s3://theirs/dogs"), JobOptions(), lambda _: None
    )
    assert channels(service.requests[0])["data"] == "s3://theirs/dogs/"


def test_batch_sizes_that_are_searched_fit_the_photos(
    stage: Any, outputs: dict[str, Any], service: SageMaker, make_photos: MakePhotos
) -> None:
    config = TrainConfig(
        data=str(make_photos({f"{s}/{c}": 10 for s in ("train", "valid", "test") for c in "ab"}))
    )
    space = SearchSpace.load("batch_size,learning_rate")
    name = sagemaker.start_tuning(stage, outputs, config, JobOptions(), lambda _: None, space=space, trials=4)
    request = service.requests[0]
    ranges = request["HyperParameterTuningJobConfig"]["ParameterRanges"]["CategoricalParameterRanges"]
    assert ranges == [{"Name": "batch_size", "Values": ["16"]}]
    assert request["HyperParameterTuningJobName"] == name


def test_a_bad_search_space_is_told_before_anything_is_uploaded(
    stage: Any, outputs: dict[str, Any], service: SageMaker, make_photos: MakePhotos
) -> None:
    config = TrainConfig(data=str(make_photos()), batch_size=8, precision="int8")
    with pytest.raises(SpaceError, match="int8"):
        sagemaker.start_tuning(
            stage, outputs, config, JobOptions(), lambda _: None, space=SearchSpace.load("unfreeze"), trials=2
        )
    assert not uploaded(stage, outputs["artifact_locations"]["scratch"])


def test_a_name_that_will_not_do_is_told_before_anything_is_uploaded(
    stage: Any, outputs: dict[str, Any], service: SageMaker
) -> None:
    with pytest.raises(OptionError, match="begins with kennel-dev-"):
        sagemaker.start_training(stage, outputs, TrainConfig(), JobOptions(name="mine"), lambda _: None)
    assert not uploaded(stage, outputs["artifact_locations"]["scratch"])


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("ResourceLimitExceeded", "quota for this instance type and training jobs"),
        ("AccessDeniedException", "iam:PassRole"),
        ("ResourceInUse", "another name"),
        ("ValidationException", "Correct what it names"),
    ],
)
def test_a_refusal_of_sagemaker_is_told_with_its_remedy(
    stage: Any, outputs: dict[str, Any], service: SageMaker, make_photos: MakePhotos, code: str, remedy: str
) -> None:
    service.refuses = code
    config = TrainConfig(data=str(make_photos()), batch_size=8)
    with pytest.raises(JobError, match=rf"{code}[\s\S]*{remedy}"):
        sagemaker.start_training(stage, outputs, config, JobOptions(), lambda _: None)


def test_the_stages_jobs_are_listed_the_newest_first_and_nobody_elses(
    stage: Any, service: SageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sagemaker.state_bucket, "prefix", lambda _: "kennel-dev")
    listed = [(job.kind, job.name) for job in sagemaker.list_jobs(stage)]
    assert listed == [
        ("bulk", "kennel-dev-bulk"),
        ("training", "kennel-dev-3"),
        ("tuning", "kennel-dev-tune"),
        ("training", "kennel-dev-1"),
    ]


def test_before_a_destroy_running_jobs_are_stopped_and_waited_for(
    stage: Any, service: SageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {"kennel-dev-1": ["InProgress", "Stopping", "Stopped"], "kennel-dev-3": ["Completed"]}

    def list_jobs(_: Any) -> list[sagemaker.Job]:
        now = datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)
        return [
            sagemaker.Job("training", name, left.pop(0) if len(left) > 1 else left[0], now)
            for name, left in states.items()
        ]

    stopped: list[str] = []
    monkeypatch.setattr(sagemaker, "list_jobs", list_jobs)
    monkeypatch.setattr(sagemaker, "stop", lambda _, name: stopped.append(name))
    monkeypatch.setattr(sagemaker.time, "sleep", lambda _: None)
    said: list[str] = []
    sagemaker.stop_all(stage, said.append)
    assert stopped == ["kennel-dev-1"]
    assert len(said) == 1


@pytest.mark.parametrize(
    ("name", "answers", "told"),
    [
        ("kennel-dev-1", {"training": "Requested resource not found.", "tuning": "it is Completed."}, "it is Comp"),
        ("kennel-dev-1", {"training": "it is Completed.", "tuning": "Requested resource not found."}, "it is Comp"),
        ("kennel-dev-1", dict.fromkeys(("training", "tuning"), "Requested resource not found."), "there is none"),
        ("kennel-dev-" + 40 * "1", {"training": "it is Completed.", "tuning": "too long"}, "it is Completed"),
    ],
)  # fmt: skip
def test_what_cannot_be_stopped_is_told_in_the_words_that_fit(
    stage: Any, monkeypatch: pytest.MonkeyPatch, name: str, answers: dict[str, str], told: str
) -> None:
    class Refusing:
        def __getattr__(self, call: str) -> Any:
            message = answers["tuning" if "tuning" in call else "training"]

            def refuse(**_: str) -> dict[str, str]:
                if call.startswith("describe_"):
                    kinds = ("TrainingJob", "TransformJob", "HyperParameterTuningJob")
                    return {f"{kind}Status": "Completed" for kind in kinds}
                raise ClientError({"Error": {"Code": "ValidationException", "Message": message}}, call)

            return refuse

    monkeypatch.setattr(stage, "client", lambda _: Refusing())
    with pytest.raises(JobError) as caught:
        sagemaker.stop(stage, name)
    assert str(caught.value.received).startswith(f"{name}: {told}")
