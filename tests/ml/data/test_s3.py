from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import IncompleteReadError
from moto import mock_aws

from ml.data import Dataset, DatasetError, load_dataset
from ml.data import s3 as s3_source
from tests.conftest import MakePhotos

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Client]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="photos")
        yield client


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that are downloaded, as it happens."""
    keys: list[str] = []
    fetch = s3_source._fetch

    def record(client: S3Client, bucket: str, entry: s3_source._Object, store: Path) -> None:
        fetch(client, bucket, entry, store)
        keys.append(entry.key)

    monkeypatch.setattr(s3_source, "_fetch", record)
    return keys


def load(url: str, tmp_path: Path) -> Dataset:
    return load_dataset(url, seed=1, work_dir=tmp_path / "work", progress=False)


def upload(client: S3Client, root: Path, prefix: str) -> None:
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        client.put_object(Bucket="photos", Key=f"{prefix}{path.relative_to(root)}", Body=path.read_bytes())


@pytest.mark.parametrize(
    "url", ["s3://photos/dogImages", "s3://photos/dogImages/", "s3://photos", "s3://photos/"]
)
def test_a_prefix_gives_what_its_folder_gives(
    url: str, client: S3Client, make_photos: MakePhotos, tmp_path: Path
) -> None:
    root = make_photos()
    upload(client, root, "dogImages/")
    remote = load(url, tmp_path)
    assert remote.digest == load(str(root), tmp_path).digest
    assert remote.counts == {"train": 8, "valid": 4, "test": 4}


def test_a_prefix_is_a_folder_not_the_start_of_a_name(
    client: S3Client, make_photos: MakePhotos, tmp_path: Path
) -> None:
    upload(client, make_photos(), "dogs/")
    upload(client, make_photos({"train/fox": 2}, folder="more"), "dogs-old/")
    assert load("s3://photos/dogs", tmp_path).classes == ("cat", "dog")


def test_what_was_downloaded_is_not_downloaded_again(
    client: S3Client, fetched: list[str], make_photos: MakePhotos, tmp_path: Path
) -> None:
    root = make_photos()
    upload(client, root, "dogs/")
    first = load("s3://photos/dogs", tmp_path)
    assert len(fetched) == 16
    fetched.clear()
    assert load("s3://photos/dogs", tmp_path) == first
    assert fetched == []


def test_a_changed_photo_is_downloaded_and_a_deleted_one_is_gone(
    client: S3Client, fetched: list[str], make_photos: MakePhotos, tmp_path: Path
) -> None:
    root = make_photos()
    upload(client, root, "dogs/")
    load("s3://photos/dogs", tmp_path)
    fetched.clear()
    new = make_photos({"train/new": 1}, folder="new") / "train/new/new_000.png"
    client.put_object(Bucket="photos", Key="dogs/train/cat/cat_000.png", Body=new.read_bytes())
    client.delete_object(Bucket="photos", Key="dogs/train/cat/cat_001.png")
    shutil.copy(new, root / "train/cat/cat_000.png")
    (root / "train/cat/cat_001.png").unlink()
    assert load("s3://photos/dogs", tmp_path).digest == load(str(root), tmp_path).digest
    assert fetched == ["dogs/train/cat/cat_000.png"]


def test_an_interrupted_download_goes_on_where_it_stopped(
    client: S3Client,
    fetched: list[str],
    make_photos: MakePhotos,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upload(client, make_photos(), "dogs/")
    fetch = s3_source._fetch

    def break_off(client: S3Client, bucket: str, entry: s3_source._Object, store: Path) -> None:
        if len(fetched) >= 5:
            raise KeyboardInterrupt
        fetch(client, bucket, entry, store)

    with monkeypatch.context() as patch:
        patch.setattr(s3_source, "_CONNECTIONS", 1)
        patch.setattr(s3_source, "_fetch", break_off)
        with pytest.raises(KeyboardInterrupt):
            load("s3://photos/dogs", tmp_path)
    before = len(fetched)
    assert before == 5
    assert load("s3://photos/dogs", tmp_path).counts["train"] == 8
    assert len(fetched) == 16


def test_only_photos_are_downloaded_and_the_rest_is_told_of(
    client: S3Client, fetched: list[str], make_photos: MakePhotos, tmp_path: Path
) -> None:
    upload(client, make_photos(), "dogs/")
    client.put_object(Bucket="photos", Key="dogs/train/cat/labels.csv", Body=b"a,b")
    client.put_object(Bucket="photos", Key="dogs/.DS_Store", Body=b"x")
    client.put_object(Bucket="photos", Key="dogs/", Body=b"")
    dataset = load("s3://photos/dogs", tmp_path)
    assert len(fetched) == 16
    assert dataset.notes == ("Files that are no photos were left out: 1 × .csv.",)


def test_an_empty_folder_as_consoles_make_them_is_an_empty_class(
    client: S3Client, make_photos: MakePhotos, tmp_path: Path
) -> None:
    upload(client, make_photos({"cat": 3, "dog": 3}), "dogs/")
    client.put_object(Bucket="photos", Key="dogs/fox/", Body=b"")
    with pytest.raises(DatasetError) as caught:
        load("s3://photos/dogs", tmp_path)
    assert caught.value.codes == ("empty-class",)


def test_an_archive_in_a_bucket_is_unpacked(
    client: S3Client, make_photos: MakePhotos, tmp_path: Path
) -> None:
    root = make_photos()
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", root))
    client.put_object(Bucket="photos", Key="packs/dogs.zip", Body=archive.read_bytes())
    assert load("s3://photos/packs/dogs.zip", tmp_path).digest == load(str(root), tmp_path).digest


def test_an_archive_beside_photos_is_not_downloaded(
    client: S3Client, fetched: list[str], make_photos: MakePhotos, tmp_path: Path
) -> None:
    upload(client, make_photos(), "dogs/")
    client.put_object(Bucket="photos", Key="dogs/backup.zip", Body=b"x")
    load("s3://photos/dogs", tmp_path)
    assert "dogs/backup.zip" not in fetched


def test_an_answer_that_breaks_off_is_asked_for_again(
    client: S3Client, make_photos: MakePhotos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_photos()
    upload(client, root, "dogs/")
    copy, broken = s3_source._copy, set[str]()

    def break_off(client: S3Client, bucket: str, entry: s3_source._Object, file: IO[bytes]) -> None:
        if entry.key not in broken:
            broken.add(entry.key)
            file.write(b"half of it, and more than there is" * 1000)
            raise IncompleteReadError(actual_bytes=1, expected_bytes=2)
        copy(client, bucket, entry, file)

    monkeypatch.setattr(s3_source, "_copy", break_off)
    assert load("s3://photos/dogs", tmp_path).digest == load(str(root), tmp_path).digest


def test_an_answer_that_breaks_off_every_time_is_told_and_leaves_nothing(
    client: S3Client, make_photos: MakePhotos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(*_: object) -> None:
        raise IncompleteReadError(actual_bytes=1, expected_bytes=2)

    upload(client, make_photos(), "dogs/")
    monkeypatch.setattr(s3_source, "_copy", break_off)
    with pytest.raises(DatasetError, match="check credentials, region and connection"):
        load("s3://photos/dogs", tmp_path)
    assert [path for path in (tmp_path / "work").rglob("*") if path.is_file()] == []


def test_a_key_that_is_a_file_and_a_folder_is_refused(client: S3Client, tmp_path: Path) -> None:
    for key in ("dogs/cat", "dogs/cat/x.png"):
        client.put_object(Bucket="photos", Key=key, Body=b"x")
    with pytest.raises(DatasetError, match="must be able to be a file") as caught:
        load("s3://photos/dogs", tmp_path)
    assert caught.value.codes == ("s3",)


def test_keys_that_lead_out_of_the_folder_are_refused(client: S3Client, tmp_path: Path) -> None:
    client.put_object(Bucket="photos", Key="dogs/../../x.png", Body=b"x")
    with pytest.raises(DatasetError, match="a key must be a plain path") as caught:
        load("s3://photos/dogs", tmp_path)
    assert caught.value.codes == ("s3",)
    assert list(tmp_path.rglob("x.png")) == []


def test_a_bucket_that_is_not_there_is_told_with_a_remedy(client: S3Client, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"NoSuchBucket.*\n.*mind the spelling") as caught:
        load("s3://no-such-bucket/dogs", tmp_path)
    assert caught.value.codes == ("s3",)


def test_a_prefix_without_objects_is_told(client: S3Client, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="must be objects below the address") as caught:
        load("s3://photos/nothing", tmp_path)
    assert caught.value.codes == ("no-source",)


def test_an_address_without_a_bucket_is_told(client: S3Client, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="bucket") as caught:
        load("s3:///dogs", tmp_path)
    assert caught.value.codes == ("s3",)


def test_missing_credentials_are_told(
    make_photos: MakePhotos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(DatasetError, match="check credentials, region and connection") as caught:
        load("s3://photos/dogs", tmp_path)
    assert caught.value.codes == ("s3",)
