from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from ops import state_bucket

BUCKET = "kennel-dev-terraform-state-1"


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The stage dev with its state's bucket, in an account that moto makes up."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setattr(state_bucket, "name", lambda _: BUCKET)
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket=BUCKET)
        yield SimpleNamespace(client=lambda _: s3, directory=tmp_path / "dev")


def record(serial: int, *types: str, lineage: str = "one") -> str:
    resources = [{"type": each} for each in types]
    return json.dumps({"serial": serial, "lineage": lineage, "resources": resources})


def here(stage: Any, text: str) -> None:
    stage.directory.mkdir(exist_ok=True)
    (stage.directory / "bootstrap.tfstate").write_text(text)


def stored(stage: Any, text: str) -> None:
    stage.client("s3").put_object(Bucket=BUCKET, Key=state_bucket.RECORD_KEY, Body=text)


def test_roles_that_another_machine_has_made_are_known(stage: Any) -> None:
    assert not state_bucket.made_more(stage)
    here(stage, record(1, "aws_s3_bucket"))
    assert not state_bucket.made_more(stage)
    stored(stage, record(2, "aws_s3_bucket", "aws_iam_role"))
    assert state_bucket.made_more(stage)


def test_roles_that_another_machine_has_removed_are_gone(stage: Any) -> None:
    here(stage, record(2, "aws_iam_role"))
    stored(stage, record(3, "aws_s3_bucket"))
    assert not state_bucket.made_more(stage)


def test_a_record_that_could_not_be_stored_yet_counts(stage: Any) -> None:
    here(stage, record(2, "aws_iam_role"))
    stored(stage, record(1, "aws_s3_bucket"))
    assert state_bucket.made_more(stage)
    assert [file.name for file in stage.directory.iterdir()] == ["bootstrap.tfstate"]


def test_a_record_of_an_earlier_bucket_does_not_count(stage: Any) -> None:
    here(stage, record(9, "aws_iam_role"))
    stored(stage, record(1, "aws_s3_bucket", lineage="another"))
    assert not state_bucket.made_more(stage)


def test_who_may_not_read_the_record_removes_no_bucket(stage: Any) -> None:
    told: Any = {
        "Error": {"Code": "403", "Message": "Forbidden"},
        "ResponseMetadata": {"HTTPStatusCode": 403},
    }

    def refuse(*_: Any) -> None:
        raise ClientError(told, "HeadObject")

    stage.client = lambda _: SimpleNamespace(download_file=refuse)
    here(stage, record(1, "aws_s3_bucket"))
    assert state_bucket.made_more(stage)
