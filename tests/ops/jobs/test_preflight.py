from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ml.config import TrainConfig
from ml.data import DatasetError
from ops.jobs import preflight, rights
from ops.jobs.options import JobOptions
from ops.jobs.preflight import PreflightError
from tests.conftest import MakePhotos


@pytest.fixture(autouse=True)
def able_role(monkeypatch: pytest.MonkeyPatch) -> None:
    """The role may do everything; its rights have tests of their own."""
    monkeypatch.setattr(rights, "_refused", lambda *_: [])


def check(stage: Any, outputs: dict[str, Any], config: TrainConfig, options: JobOptions, work: Path) -> Any:
    return preflight.check(stage, outputs, config, options, work_dir=work, progress=False)


def test_a_job_that_would_run_passes(
    stage: Any, outputs: dict[str, Any], make_photos: MakePhotos, tmp_path: Path
) -> None:
    config = TrainConfig(data=str(make_photos()), batch_size=8)
    found = check(stage, outputs, config, JobOptions(), tmp_path / "work")
    assert (found.warnings, found.photos) == ([], 8)


@pytest.mark.parametrize("missing", ["roles", "subnet_ids", "artifact_locations"])
def test_a_stage_that_is_not_applied_is_told(stage: Any, outputs: dict[str, Any], missing: str) -> None:
    del outputs[missing]
    with pytest.raises(PreflightError, match=r"dev is not applied\nRemedy: \./inv apply --stage dev"):
        preflight.check_stage(stage, outputs)


def test_a_stage_without_an_image_is_told_where_one_is_described(stage: Any, outputs: dict[str, Any]) -> None:
    outputs["training_image"] = None
    with pytest.raises(PreflightError, match=r"docs/aws\.md.*training = "):
        preflight.check_stage(stage, outputs)


def test_cuda_on_an_instance_without_a_gpu_is_refused(
    stage: Any, outputs: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(PreflightError, match=r"needs an instance with a GPU.\nReceived: ml\.m5\.large"):
        check(stage, outputs, TrainConfig(device="cuda"), JobOptions("ml.m5.large"), tmp_path)


def test_an_instance_of_an_unknown_family_is_told(
    stage: Any, outputs: dict[str, Any], make_photos: MakePhotos, tmp_path: Path
) -> None:
    config = TrainConfig(data=str(make_photos()), batch_size=8)
    found = check(stage, outputs, config, JobOptions("ml.trn1.2xlarge"), tmp_path / "work")
    assert "ml.trn1.2xlarge" in found.warnings[0]


def test_weights_that_are_downloaded_need_a_way_out(
    stage: Any, outputs: dict[str, Any], make_photos: MakePhotos, tmp_path: Path
) -> None:
    config = TrainConfig(data=str(make_photos()), batch_size=8, weights="imagenet")
    assert "way out" in check(stage, outputs, config, JobOptions(), tmp_path / "work").warnings[0]


def test_a_batch_larger_than_the_training_split_is_refused(
    stage: Any, outputs: dict[str, Any], make_photos: MakePhotos, tmp_path: Path
) -> None:
    config = TrainConfig(data=str(make_photos()), batch_size=9)
    with pytest.raises(PreflightError, match="batch_size=9, 8 training photos"):
        check(stage, outputs, config, JobOptions(), tmp_path / "work")


def test_more_processes_than_photos_are_refused(
    stage: Any, outputs: dict[str, Any], make_photos: MakePhotos, tmp_path: Path
) -> None:
    config = TrainConfig(data=str(make_photos()), batch_size=8)
    with pytest.raises(PreflightError, match="8 training photos, 10 processes"):
        check(stage, outputs, config, JobOptions(instances=5, processes=2), tmp_path / "work")


def test_a_class_with_too_few_photos_is_told(
    stage: Any, outputs: dict[str, Any], make_photos: MakePhotos, tmp_path: Path
) -> None:
    config = TrainConfig(data=str(make_photos({"cat": 2, "dog": 5})))
    with pytest.raises(DatasetError, match=r"at least 3 different photos[\s\S]*cat: 2"):
        check(stage, outputs, config, JobOptions(), tmp_path / "work")


def put(stage: Any, *keys: str) -> str:
    client = stage.client("s3")
    client.create_bucket(Bucket="theirs")
    for key in keys:
        client.put_object(Bucket="theirs", Key=key, Body=b"never read")
    return "s3://theirs/dogs"


def numbered(folder: str, count: int) -> list[str]:
    return [f"dogs/{folder}/{number}.jpg" for number in range(count)]


def test_photos_in_a_bucket_are_checked_by_their_names_alone(
    stage: Any, outputs: dict[str, Any], tmp_path: Path
) -> None:
    keys = [
        key for split in ("train", "val", "test") for name in "ab" for key in numbered(f"{split}/{name}", 3)
    ]
    config = TrainConfig(data=put(stage, *keys, "dogs/notes.txt"), batch_size=6)
    stage.client("s3").put_object(Bucket="theirs", Key="dogs-old/stray.jpg", Body=b"of a neighbour")
    assert check(stage, outputs, config, JobOptions(), tmp_path).photos == 6


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([*numbered("a", 5), *numbered("b", 2)], "at least 3 different photos"),
        (numbered("a", 5), "at least two classes"),
        (["dogs/notes.txt"], "must hold photos"),
        ([*numbered("train/a", 3), *numbered("train/b", 3), *numbered("valid/a", 3)], "the same classes"),
        ([*numbered("a", 3), *numbered("b", 3), "dogs/stray.jpg"], "in the folder of a class"),
    ],
)
def test_photos_in_a_bucket_that_break_a_rule_are_told(
    stage: Any, outputs: dict[str, Any], tmp_path: Path, keys: list[str], message: str
) -> None:
    config = TrainConfig(data=put(stage, *keys))
    with pytest.raises(DatasetError, match=message):
        check(stage, outputs, config, JobOptions(), tmp_path)


def test_an_archive_in_a_bucket_is_left_to_the_job(
    stage: Any, outputs: dict[str, Any], tmp_path: Path
) -> None:
    put(stage, "dogs/photos.zip")
    config = TrainConfig(data="s3://theirs/dogs/photos.zip")
    assert check(stage, outputs, config, JobOptions(), tmp_path).photos is None
