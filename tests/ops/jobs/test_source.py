from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ml.data import DatasetError, load_dataset
from ml.train import code_state
from ops.jobs import source
from tests.conftest import MakePhotos


@pytest.fixture
def sent(stage: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that are uploaded, as it happens."""
    keys: list[str] = []
    client = stage.client("s3")
    put = client.put_object

    def record(**parameters: Any) -> Any:
        keys.append(parameters["Key"])
        return put(**parameters)

    monkeypatch.setattr(client, "put_object", record)
    monkeypatch.setattr(stage, "client", lambda _: client)
    return keys


def keys_below(stage: Any, uri: str) -> dict[str, int]:
    bucket, prefix = source.split_uri(uri)
    return {
        key.removeprefix(prefix): size
        for key, size in source.sizes(stage.client("s3"), bucket, prefix).items()
    }


def upload(stage: Any, outputs: dict[str, Any], photos: Path, work: Path) -> tuple[str, str | None]:
    return source.upload_data(stage, outputs, str(photos), work_dir=work / "work", progress=False)


def test_the_archive_holds_the_code_that_trains_and_what_git_says_of_it(
    stage: Any, outputs: dict[str, Any]
) -> None:
    uri = source.upload_source(stage, outputs)
    bucket, prefix = source.split_uri(uri)
    body = stage.client("s3").get_object(Bucket=bucket, Key=f"{prefix}source.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        names = tar.getnames()
        state = json.load(tar.extractfile(".code-state.json"))  # type: ignore[arg-type]
    assert state == code_state()
    assert {"ml/train.py", "ml/report/report.css", "lambda/guarded_fetch.py", "requirements.txt"} <= set(
        names
    )
    assert not [name for name in names if "__pycache__" in name or name.startswith(("ops", "terraform"))]


def test_unpacked_code_says_what_the_repository_said(tmp_path: Path) -> None:
    said = {"commit": "c0ffee", "dirty": True}
    (tmp_path / "code").mkdir()
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "ml").mkdir()
    (tmp_path / "lambda").mkdir()
    (tmp_path / "lambda" / "guarded_fetch.py").write_text("")
    with tarfile.open(fileobj=io.BytesIO(source.pack(tmp_path, said))) as tar:
        tar.extractall(tmp_path / "code", filter="data")
    assert code_state(tmp_path / "code") == said


def test_the_same_code_gives_the_same_bytes_wherever_it_lies(tmp_path: Path) -> None:
    packed = []
    for number, folder in enumerate(("here", "there")):
        root = tmp_path / folder
        for name in ("ml/a.py", "lambda/guarded_fetch.py", "requirements.txt", "ml/__pycache__/a.pyc"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(f"{number}" if "pycache" in name else name)
        packed.append(source.pack(root, {"commit": None, "dirty": False}))
    assert packed[0] == packed[1]


def test_code_that_is_there_is_not_uploaded_again(
    stage: Any, outputs: dict[str, Any], sent: list[str]
) -> None:
    assert source.upload_source(stage, outputs) == source.upload_source(stage, outputs)
    assert len(sent) == 1


def test_uploaded_photos_are_the_data_set_that_they_were(
    stage: Any, outputs: dict[str, Any], make_photos: MakePhotos, tmp_path: Path
) -> None:
    uri, digest = upload(stage, outputs, make_photos(), tmp_path)
    there = load_dataset(uri, seed=0, work_dir=tmp_path / "job", progress=False)
    assert digest == there.digest
    assert there.counts == {"train": 8, "valid": 4, "test": 4}


def test_photos_without_splits_are_split_there_as_here(
    stage: Any, outputs: dict[str, Any], make_photos: MakePhotos, tmp_path: Path
) -> None:
    photos = make_photos({"all/cat": 9, "all/dog": 9})
    (photos / "all" / "notes.txt").write_text("no photo")
    uri, digest = upload(stage, outputs, photos, tmp_path)
    assert digest == load_dataset(uri, seed=0, work_dir=tmp_path / "job", progress=False).digest
    assert sorted(keys_below(stage, uri))[0] == "cat/cat_000.png"


def test_an_interrupted_upload_goes_on_with_what_is_missing(
    stage: Any, outputs: dict[str, Any], sent: list[str], make_photos: MakePhotos, tmp_path: Path
) -> None:
    photos = make_photos()
    uri, _ = upload(stage, outputs, photos, tmp_path)
    bucket, prefix = source.split_uri(uri)
    stage.client("s3").delete_object(Bucket=bucket, Key=f"{prefix}test/cat/cat_001.png")
    stage.client("s3").put_object(Bucket=bucket, Key=f"{prefix}test/dog/dog_000.png", Body=b"cut off")
    sent.clear()
    assert upload(stage, outputs, photos, tmp_path)[0] == uri
    assert sorted(sent) == [f"{prefix}test/cat/cat_001.png", f"{prefix}test/dog/dog_000.png"]


def test_bad_photos_are_told_before_anything_is_uploaded(
    stage: Any, outputs: dict[str, Any], sent: list[str], make_photos: MakePhotos, tmp_path: Path
) -> None:
    photos = make_photos()
    (photos / "train" / "cat" / "broken.jpg").write_bytes(b"no photo")
    with pytest.raises(DatasetError, match=r"every photo must be readable"):
        upload(stage, outputs, photos, tmp_path)
    assert sent == []


def test_photos_in_a_bucket_stay_where_they_are(stage: Any, outputs: dict[str, Any], sent: list[str]) -> None:
    assert source.upload_data(stage, outputs, "s3://theirs/dogImages") == ("s3://theirs/dogImages/", None)
    assert sent == []


def test_a_name_that_is_no_utf_8_is_told_before_anything_is_uploaded(
    stage: Any, outputs: dict[str, Any], sent: list[str], make_photos: MakePhotos, tmp_path: Path
) -> None:
    photos = make_photos()
    photo = photos / "train" / "cat" / "cat_000.png"
    photo.rename(photo.with_name("\udcff.png"))
    with pytest.raises(source.UploadError, match=r"must be UTF-8.*\n.*udcff\.png"):
        upload(stage, outputs, photos, tmp_path)
    assert sent == []


def test_a_bucket_that_refuses_is_told_with_the_rights_that_are_needed(
    stage: Any, outputs: dict[str, Any], make_photos: MakePhotos, tmp_path: Path
) -> None:
    outputs["artifact_locations"]["scratch"] = "s3://absent/training/"
    with pytest.raises(source.UploadError, match=r"NoSuchBucket[\s\S]*s3:PutObject"):
        upload(stage, outputs, make_photos(), tmp_path)


def test_weights_come_back_under_their_own_name_and_once(
    stage: Any, outputs: dict[str, Any], tmp_path: Path
) -> None:
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(b"weights")
    uri = source.upload_weights(stage, outputs, str(mine))
    fetched = source.fetch_weights(stage, uri, tmp_path / "fetched")
    assert (fetched.name, fetched.read_bytes()) == ("mine.safetensors", b"weights")
    before = fetched.stat()
    assert source.fetch_weights(stage, uri, tmp_path / "fetched").stat() == before
    with pytest.raises(source.UploadError, match="still there"):
        source.fetch_weights(stage, f"{uri}elsewhere/", tmp_path / "fetched")
