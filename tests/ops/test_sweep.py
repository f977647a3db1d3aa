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


def test_a_stack_of_the_stage_is_found_and_removed_and_no_other(ecr: Any) -> None:
    client = boto3.client("cloudformation", region_name="eu-west-1")
    template = '{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}'
    for name, owner in (
        ("kennel-dev-zero", "kennel-dev"),
        ("kennel-dev-else", "else"),
        ("other", "kennel-dev"),
    ):
        client.create_stack(StackName=name, TemplateBody=template, Tags=[{"Key": TAG, "Value": owner}])
    stage: Any = SimpleNamespace(client=lambda _: client, name="local")
    listing, removal = KINDS["stack"]
    sweeper = Sweeper(stage, "kennel-dev")
    assert list(listing(sweeper)) == ["kennel-dev-zero"]
    removal(sweeper, "kennel-dev-zero")
    assert list(listing(sweeper)) == []
