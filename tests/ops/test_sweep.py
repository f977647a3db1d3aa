from __future__ import annotations

import json
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from ml.errors import KennelError
from ops.paths import TERRAFORM
from ops.sweep import KINDS, RESOURCES, TAG, Found, Sweeper, others


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
    listing, removal = KINDS["image repository"][:2]
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
    listing, removal = KINDS["stack"][:2]
    sweeper = Sweeper(stage, "kennel-dev")
    assert list(listing(sweeper)) == ["kennel-dev-zero"]
    removal(sweeper, "kennel-dev-zero")
    assert list(listing(sweeper)) == []


def test_every_resource_type_of_the_terraform_files_is_swept_or_needs_not_be() -> None:
    files = (file for file in TERRAFORM.rglob("*.tf") if ".terraform" not in file.parts)
    declared = set(
        re.findall(r'^resource "(\w+)"', "".join(file.read_text() for file in files), re.MULTILINE)
    )
    assert declared - RESOURCES.keys() == set()
    told = [text for text in RESOURCES.values() if text not in KINDS]
    assert all(text.startswith(("goes with its ", "stays: ", "is in the state alone")) for text in told)
    owners = {text.removeprefix("goes with its ") for text in told if text.startswith("goes")}
    assert owners - KINDS.keys() == set()


@pytest.fixture
def sweeper(ecr: Any) -> Sweeper:
    """Of the stage kennel-dev in an account that moto makes up."""
    stage: Any = SimpleNamespace(
        client=lambda service: boto3.client(service, region_name="eu-west-1"), name="local", account_id="1"
    )
    return Sweeper(stage, "kennel-dev")


def test_what_has_somebody_elses_tag_stays_whatever_its_name_is(sweeper: Sweeper) -> None:
    ours, theirs = ([{"Key": TAG, "Value": value}] for value in ("kennel-dev", "else"))
    sns, logs, watch = (sweeper.client(service) for service in ("sns", "logs", "cloudwatch"))
    for name, tags in (("kennel-dev-a", ours), ("kennel-dev-b", theirs), ("kennel-dev-c", [])):
        sns.create_topic(Name=name, Tags=tags)
        logs.create_log_group(
            logGroupName=f"/aws/lambda/{name}", tags={tag["Key"]: tag["Value"] for tag in tags}
        )
        watch.put_metric_alarm(
            AlarmName=name, Tags=tags, MetricName="m", Namespace="n", Period=60, EvaluationPeriods=1,
            Threshold=1, ComparisonOperator="GreaterThanThreshold", Statistic="Sum",
        )  # fmt: skip
    found = sweeper.survey(["topic", "log group", "alarm"]).found
    assert [entry.identifier.rpartition("-")[2] for entry in found] == ["a", "c"] * 3


def test_alarms_of_the_scaling_are_found_by_what_scales(sweeper: Sweeper) -> None:
    for scaled in (
        "endpoint/kennel-dev/variant/v",
        "endpoint/kennel-device/variant/v",
        "inference-component/kennel-dev-x",
    ):
        sweeper.client("cloudwatch").put_metric_alarm(
            AlarmName=f"TargetTracking-{scaled}-AlarmHigh-1", MetricName="m", Namespace="n", Period=60,
            EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold", Statistic="Sum",
        )  # fmt: skip
    found = sweeper.survey(["alarm of the scaling"]).found
    assert [entry.identifier.split("-Alarm")[0] for entry in found] == [
        "TargetTracking-endpoint/kennel-dev/variant/v",
        "TargetTracking-inference-component/kennel-dev-x",
    ]


def test_who_applies_in_a_pipeline_may_remove_every_alarm_of_the_scaling() -> None:
    may = (TERRAFORM / "bootstrap" / "write.tf").read_text()
    assert [start for start in others._TRACKING if f":alarm:{start}${{local.name}}*" not in may] == []


def test_what_has_the_stages_tag_and_is_of_no_known_kind_is_left_to_a_person(sweeper: Sweeper) -> None:
    ours = [{"TagKey": TAG, "TagValue": "kennel-dev"}]
    key = sweeper.client("kms").create_key(Tags=ours)["KeyMetadata"]["Arn"]
    sweeper.client("s3").create_bucket(  # a data bucket
        Bucket="kennel-dev-data", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    tags = {"TagSet": [{"Key": TAG, "Value": "kennel-dev"}]}
    sweeper.client("s3").put_bucket_tagging(Bucket="kennel-dev-data", Tagging=tags)
    found = sweeper.survey(["bucket", "tagged"]).found
    assert found == [Found("tagged", key)]
    (left,) = sweeper.remove(found)
    assert "Terraform did not make it" in left.remedy


def test_a_disk_and_an_interface_that_their_owners_left_are_removed(sweeper: Sweeper) -> None:
    ec2 = sweeper.client("ec2")
    tags = [{"Key": TAG, "Value": "kennel-dev"}]

    def tagged(kind: str) -> list[Any]:
        return [{"ResourceType": kind, "Tags": tags}]

    ec2.create_volume(AvailabilityZone="eu-west-1a", Size=1, TagSpecifications=tagged("volume"))
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tagged("vpc"))["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24", TagSpecifications=tagged("subnet"))
    group = ec2.create_security_group(
        GroupName="g", Description="d", VpcId=vpc, TagSpecifications=tagged("security-group")
    )["GroupId"]
    ec2.create_network_interface(SubnetId=subnet["Subnet"]["SubnetId"], Groups=[group])  # a service's: no tag
    found = sweeper.survey(["volume", "network interface", "security group", "subnet", "VPC"]).found
    assert [entry.kind for entry in found] == [
        "volume",
        "network interface",
        "security group",
        "subnet",
        "VPC",
    ]
    assert sweeper.remove(found) == []
    assert sweeper.survey(["volume", "network interface", "VPC"]).found == []


def test_a_notebook_is_removed_when_it_has_come_to_rest_and_is_gone_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states, done = ["Pending", "InService", "Stopping", "Stopped"], []
    monkeypatch.setattr("ops.sweep.sagemaker.time.sleep", lambda _: None)

    class Notebooks:
        def describe_notebook_instance(self, **_: Any) -> dict[str, str]:
            return {"NotebookInstanceStatus": states.pop(0)}

        def stop_notebook_instance(self, **_: Any) -> None:
            done.append("stop")

        def delete_notebook_instance(self, **_: Any) -> None:
            done.append("delete")

        def get_waiter(self, name: str) -> Any:
            return SimpleNamespace(wait=lambda **_: done.append(name))

    stage: Any = SimpleNamespace(client=lambda _: Notebooks(), name="dev")
    assert Sweeper(stage, "kennel-dev").remove([Found("notebook instance", "kennel-dev")]) == []
    assert done == ["stop", "delete", "notebook_instance_deleted"]


def test_a_notebook_that_is_gone_is_nothing_to_wait_for(sweeper: Sweeper) -> None:
    client = sweeper.client("sagemaker")
    role = "arn:aws:iam::123456789012:role/r"
    client.create_notebook_instance(
        NotebookInstanceName="kennel-dev", InstanceType="ml.t3.medium", RoleArn=role,
        Tags=[{"Key": TAG, "Value": "kennel-dev"}],
    )  # fmt: skip
    found = sweeper.survey(["notebook instance"]).found
    assert found == [Found("notebook instance", "kennel-dev")]
    assert sweeper.remove(found) == []
    assert sweeper.survey(["notebook instance"]).found == []


def test_an_object_that_may_not_be_deleted_says_why_the_bucket_stays(
    sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = sweeper.client("s3")
    s3.create_bucket(
        Bucket=sweeper.artifact_bucket,
        CreateBucketConfiguration={"LocationConstraint": "eu-west-1"},
    )
    s3.put_object(Bucket=sweeper.artifact_bucket, Key="held", Body=b"x")
    found = sweeper.survey(["bucket"]).found
    refused = {"Errors": [{"Key": "held", "Code": "AccessDenied", "Message": "object lock"}]}
    with monkeypatch.context() as patched:
        patched.setattr(s3, "delete_objects", lambda **_: refused)
        (left,) = sweeper.remove(found)
    assert left.resisted == "AccessDenied: held: object lock"
    assert sweeper.remove(found) == []


class Refusing:
    """A cloud that lets nobody list functions, and delete no role."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def can_paginate(self, _: str) -> bool:
        return False

    def __getattr__(self, operation: str) -> Any:
        def asked(**_: Any) -> Any:
            if operation in self.answers:
                return json.loads(json.dumps(self.answers[operation]))
            raise ClientError(
                {"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}, operation
            )

        return asked


def test_what_nobody_may_list_is_told_and_proves_nothing() -> None:
    stage: Any = SimpleNamespace(client=lambda _: Refusing(), name="dev")
    sweeper = Sweeper(stage, "kennel-dev")
    survey = sweeper.survey(["function", "tagged"])
    assert survey.unseen["function"] == "AccessDeniedException: not authorized"
    assert not survey.proves
    assert sweeper.survey(["tagged"]).proves
    with pytest.raises(KennelError, match=r"(?s)lists everything.*function: AccessDenied.*may list it"):
        sweeper.find()


@pytest.mark.parametrize("kind", ["model", "subnet"])  # a subnet is waited for otherwise
def test_what_may_not_be_removed_is_left_with_the_reason_at_once(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.sweep.sweeper.time.sleep", lambda _: pytest.fail("it waits"))
    stage: Any = SimpleNamespace(client=lambda _: Refusing(), name="dev")
    (left,) = Sweeper(stage, "kennel-dev").remove([Found(kind, "kennel-dev-1")])
    assert left.resisted == "AccessDeniedException: not authorized"
    assert "credentials that may" in left.remedy
