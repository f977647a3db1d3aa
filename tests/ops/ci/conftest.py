from __future__ import annotations

import io
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ops import state_bucket
from ops.stage import Stage

BUCKET = "kennel-dev-terraform-state-123456789012"


class FakeS3:
    """A bucket's objects by key."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> None:
        assert Bucket == BUCKET
        self.objects[Key] = Body

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        self.head_object(Bucket=Bucket, Key=Key)
        return {"Body": io.BytesIO(self.objects[Key])}

    def head_object(self, *, Bucket: str, Key: str) -> None:
        assert Bucket == BUCKET
        if Key not in self.objects:
            refusal: Any = {"Error": {"Code": "NoSuchKey"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
            raise ClientError(refusal, "GetObject")

    def upload_file(self, name: str, bucket: str, key: str) -> None:
        with open(name, "rb") as file:  # noqa: PTH123 - as boto3 takes it
            self.objects[key] = file.read()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> FakeS3:
    fake = FakeS3()
    monkeypatch.setattr(Stage, "client", lambda _self, _service: fake)
    monkeypatch.setattr(state_bucket, "name", lambda _: BUCKET)
    return fake


@pytest.fixture
def stage(s3: FakeS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Stage:
    monkeypatch.setattr(Stage, "directory", tmp_path / "stage")
    (tmp_path / "stage").mkdir()
    return Stage.of("dev")
