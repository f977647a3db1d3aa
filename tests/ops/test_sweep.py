from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ops.sweep import KINDS, TAG, Sweeper


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    with mock_aws():
        yield boto3.client("ecr", region_name="eu-west-1")


def test_an_image_repository_of_the_stage_is_found_and_removed_with_its_images(ecr: Any) -> None:
    ecr.create_repository(repositoryName="kennel-dev-serving", tags=[{"Key": TAG, "Value": "kennel-dev"}])
    ecr.create_repository(repositoryName="kennel-dev-of-somebody-else")
    ecr.create_repository(repositoryName="kennel-prod-serving", tags=[{"Key": TAG, "Value": "kennel-prod"}])
    manifest = {"imageManifest": "{}", "imageManifestMediaType": "application/vnd.oci.image.manifest.v1+json"}
    ecr.put_image(repositoryName="kennel-dev-serving", imageTag="1", **manifest)
    stage: Any = SimpleNamespace(client=lambda _: ecr)
    listing, removal = KINDS["image repository"]
    sweeper = Sweeper(stage, "kennel-dev")
    assert list(listing(sweeper)) == ["kennel-dev-serving"]
    removal(sweeper, "kennel-dev-serving")
    assert list(listing(sweeper)) == []
