"""A job on an instance that keeps its disk: what is laid out for the container, and what is said when it cannot be."""

from __future__ import annotations

import fcntl
import json
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ml.jobs import instance
from ml.jobs.instance import Job, Location

BUCKET = "artifacts"
PLACE = f"s3://{BUCKET}/jobs/kennel-dev-1/"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client


def job(**changes: Any) -> Job:
    told = {
        "name": "kennel-dev-1",
        "key": "0123",
        "hyperparameters": {"epochs": "2"},
        "data": f"s3://{BUCKET}/data/",
        "weights": None,
        "checkpoints": f"s3://{BUCKET}/checkpoints/",
        "processes": 0,
        "max_runtime": 60,
    }
    return Job(**(told | changes))


def put(client: Any, key: str, content: bytes = b"x") -> None:
    client.put_object(Bucket=BUCKET, Key=key, Body=content)


def test_photos_come_once_whatever_number_of_jobs_uses_them(client: Any, tmp_path: Path) -> None:
    put(client, "data/train/cat/1.jpg")
    instance.lay_out(tmp_path, tmp_path / "jobs" / "first", job(), client)
    client.delete_object(Bucket=BUCKET, Key="data/train/cat/1.jpg")
    put(client, "data/train/cat/1.jpg")  # the same bytes: the same ETag
    stored = [path.stat().st_ino for path in (tmp_path / "photos" / "objects").rglob("*") if path.is_file()]
    instance.lay_out(tmp_path, tmp_path / "jobs" / "second", job(), client)
    channel = tmp_path / "jobs" / "second" / "input" / "data" / "data"
    assert [(channel / "train" / "cat" / "1.jpg").stat().st_ino] == stored
    assert not (channel.parent / "weights").exists()


def test_an_archive_of_photos_and_a_file_of_weights_are_files_in_their_channels(
    client: Any, tmp_path: Path
) -> None:
    put(client, "data/dogs.tar.gz", b"archive")
    put(client, "weights/resnet.safetensors", b"weights")
    told = job(data=f"s3://{BUCKET}/data/dogs.tar.gz", weights=f"s3://{BUCKET}/weights/")
    instance.lay_out(tmp_path, tmp_path / "job", told, client)
    channels = tmp_path / "job" / "input" / "data"
    assert (channels / "data" / "photos.tar.gz").read_bytes() == b"archive"
    assert (channels / "weights" / "resnet.safetensors").read_bytes() == b"weights"


def test_the_container_is_told_as_sagemaker_tells_it(client: Any, tmp_path: Path) -> None:
    put(client, "data/train/cat/1.jpg")
    instance.lay_out(tmp_path, tmp_path / "job", job(), client)
    config = tmp_path / "job" / "input" / "config"
    assert json.loads((config / "hyperparameters.json").read_text()) == {"epochs": "2"}
    resources = json.loads((config / "resourceconfig.json").read_text())
    assert resources == {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "lo"}


def test_features_are_shared_between_jobs_and_states_of_training_are_not(client: Any, tmp_path: Path) -> None:
    put(client, "data/train/cat/1.jpg")
    for name, key in (("first", "a"), ("second", "b")):
        instance.lay_out(tmp_path, tmp_path / name, job(key=key), client)
    first, second = (tmp_path / name / "checkpoints" for name in ("first", "second"))
    assert (first / "work").resolve() == (second / "work").resolve()
    assert (first / "training").resolve() != (second / "training").resolve()


def run_main(
    client: Any, root: Path, monkeypatch: pytest.MonkeyPatch, told: Job
) -> tuple[str, dict[str, Any]]:
    """The message of the exit, and what is left of it in the bucket."""
    root.mkdir(exist_ok=True)
    (root / "jobs").mkdir(exist_ok=True)
    Location(PLACE, client).write(instance.TOLD, vars(told))
    monkeypatch.setattr(sys, "argv", ["instance", str(root), PLACE])
    with pytest.raises(SystemExit) as ended:
        instance.main()
    return str(ended.value), json.loads(Location(PLACE, client).read(instance.STATUS))


def test_photos_that_are_not_there_are_told_of_in_the_bucket_too(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message, status = run_main(client, tmp_path / "kennel", monkeypatch, job())
    assert "there must be objects below the address" in message
    assert (status["code"], f"error: {status['failure']}") == (1, message)


def test_an_instance_runs_one_job_at_a_time(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kennel").mkdir()
    with (tmp_path / "kennel" / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        message, _ = run_main(client, tmp_path / "kennel", monkeypatch, job())
    assert message.startswith("error: An instance runs one job at a time.")


@pytest.fixture
def checkpoints(client: Any, tmp_path: Path) -> Callable[[str], instance.Checkpoints]:
    def make(folder: str) -> instance.Checkpoints:
        return instance.Checkpoints(tmp_path / folder, Location(f"s3://{BUCKET}/checkpoints/", client))

    return make


def test_checkpoints_of_an_unfinished_job_come_back_and_only_those_that_counted_last(
    checkpoints: Callable[[str], instance.Checkpoints], tmp_path: Path
) -> None:
    kept = checkpoints("one")
    kept.restore()
    (tmp_path / "one" / "1.ckpt").write_text("1")
    kept.start()
    kept.end(finished=False)
    (tmp_path / "one" / "1.ckpt").unlink()
    (tmp_path / "one" / "2.ckpt").write_text("2")
    again = checkpoints("one")
    again.start()
    again.end(finished=False)
    checkpoints("two").restore()
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["2.ckpt"]


def test_a_finished_job_leaves_no_checkpoints(
    checkpoints: Callable[[str], instance.Checkpoints], tmp_path: Path
) -> None:
    kept = checkpoints("one")
    kept.restore()
    (tmp_path / "one" / "1.ckpt").write_text("1")
    kept.start()
    kept.end(finished=True)
    checkpoints("two").restore()
    assert not (tmp_path / "one").exists()
    assert list((tmp_path / "two").iterdir()) == []


def test_an_archive_holds_the_files_of_its_folder_below_their_names(tmp_path: Path) -> None:
    (tmp_path / "model" / "code").mkdir(parents=True)
    (tmp_path / "model" / "code" / "a.py").write_text("a")
    with tarfile.open(instance.pack(tmp_path / "model", tmp_path / "model.tar.gz")) as packed:
        assert packed.getnames() == ["code/a.py"]
