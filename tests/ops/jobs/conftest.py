from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

BUCKET = "kennel-dev-artifacts"


class Stage:
    """A stage whose cloud is moto in this process."""

    name = "dev"
    region = "us-east-1"

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=self.region)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield Stage()


@pytest.fixture
def outputs() -> dict[str, Any]:
    """What Terraform leaves behind, as far as jobs ask for it."""
    return {
        "prefix": "kennel-dev",
        "region": "us-east-1",
        "account_id": "123456789012",
        "artifact_bucket": BUCKET,
        "artifact_locations": {
            "scratch": f"s3://{BUCKET}/training/",
            "wheelhouse": f"s3://{BUCKET}/wheelhouse/",
        },
        "subnet_ids": ["subnet-0a", "subnet-0b"],
        "security_group_id": "sg-0a",
        "roles": {
            "training": {
                "name": "kennel-dev-training",
                "arn": "arn:aws:iam::123456789012:role/kennel-dev-training",
            }
        },
        "training_image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/kennel-training:1",
        "data_bucket_policy": None,
    }
