from __future__ import annotations

import io
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ops.jobs import rights
from ops.jobs.options import JobOptions
from ops.jobs.rights import RightsError

POLICY = '{"Statement": []}'


class Iam:
    """Answers SimulatePrincipalPolicy: what is in `denied` is, by action and resource."""

    def __init__(self, *denied: tuple[str, str], refuses: str | None = None) -> None:
        self.denied = denied
        self.refuses = refuses
        self.asked: list[dict[str, Any]] = []

    def simulate_principal_policy(self, **parameters: Any) -> dict[str, Any]:
        self.asked.append(parameters)
        if self.refuses:
            raise ClientError({"Error": {"Code": self.refuses, "Message": ""}}, "SimulatePrincipalPolicy")
        resource = parameters["ResourceArns"][0]
        return {
            "EvaluationResults": [
                {
                    "EvalActionName": action,
                    "EvalDecision": "implicitDeny" if (action, resource) in self.denied else "allowed",
                }
                for action in parameters["ActionNames"]
            ]
        }


@pytest.fixture
def theirs(stage: Any) -> str:
    """A bucket with a photo."""
    client = stage.client("s3")
    client.create_bucket(Bucket="theirs")
    client.put_object(Bucket="theirs", Key="dogs/train/a/1.jpg", Body=b"photo")
    return "s3://theirs/dogs/"


def with_iam(stage: Any, iam: Iam, monkeypatch: pytest.MonkeyPatch) -> Any:
    real = stage.client
    monkeypatch.setattr(stage, "client", lambda service: iam if service == "iam" else real(service))
    return stage


def test_the_caller_lists_what_is_there(stage: Any, outputs: dict[str, Any], theirs: str) -> None:
    assert rights.readable_keys(stage, outputs, theirs) == ["dogs/train/a/1.jpg"]


def test_a_bucket_that_is_not_there_is_told(stage: Any, outputs: dict[str, Any]) -> None:
    with pytest.raises(RightsError, match="The bucket exists"):
        rights.readable_keys(stage, outputs, "s3://absent/dogs/")


def test_an_empty_prefix_is_told(stage: Any, outputs: dict[str, Any], theirs: str) -> None:
    with pytest.raises(RightsError, match="There are photos below the address"):
        rights.readable_keys(stage, outputs, f"{theirs}cats/")


def test_a_bucket_of_another_region_is_told(stage: Any, outputs: dict[str, Any]) -> None:
    stage.client("s3").create_bucket(
        Bucket="far", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    stage.client("s3").put_object(Bucket="far", Key="a/1.jpg", Body=b"photo")
    with pytest.raises(RightsError, match=r"own region\.\nReceived: far is in eu-central-1"):
        rights.readable_keys(stage, outputs, "s3://far/")


@pytest.mark.parametrize("call", ["list_objects_v2", "head_object"])
def test_a_caller_who_may_not_read_is_told_what_the_bucket_has_to_allow(
    stage: Any, outputs: dict[str, Any], theirs: str, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = {"list_objects_v2": "ListObjectsV2", "head_object": "HeadObject"}[call]
    client = stage.client("s3")
    client.meta.events.register(f"before-call.s3.{operation}", deny)
    monkeypatch.setattr(stage, "client", lambda _: client)
    with pytest.raises(
        RightsError, match=r"403[\s\S]*s3:ListBucket, s3:GetObject, and kms:Decrypt"
    ) as caught:
        rights.readable_keys(stage, outputs, theirs)
    assert "data_bucket_policy" not in str(caught.value)
    outputs["data_bucket_policy"] = POLICY
    with pytest.raises(RightsError, match="terraform output -raw data_bucket_policy"):
        rights.readable_keys(stage, outputs, theirs)


def deny(**_: Any) -> Any:
    raise ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadObject")


def test_the_role_is_asked_about_all_that_a_job_does(
    stage: Any, outputs: dict[str, Any], theirs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    iam = Iam()
    options = JobOptions(checkpoints="s3://kept/here")
    key = "dogs/train/a/1.jpg"
    assert rights.check_role(with_iam(stage, iam, monkeypatch), outputs, options, theirs, key) == []
    asked = {(action, each["ResourceArns"][0]) for each in iam.asked for action in each["ActionNames"]}
    assert asked == {
        ("s3:GetObject", "arn:aws:s3:::kennel-dev-artifacts/training/jobs/x"),
        ("s3:PutObject", "arn:aws:s3:::kennel-dev-artifacts/training/jobs/x"),
        ("s3:ListBucket", "arn:aws:s3:::kennel-dev-artifacts"),
        ("s3:GetObject", "arn:aws:s3:::kept/here/x"),
        ("s3:PutObject", "arn:aws:s3:::kept/here/x"),
        ("s3:ListBucket", "arn:aws:s3:::kept"),
        ("s3:GetObject", "arn:aws:s3:::theirs/dogs/train/a/1.jpg"),
        ("s3:ListBucket", "arn:aws:s3:::theirs"),
    }
    listing = [each for each in iam.asked if each["ResourceArns"] == ["arn:aws:s3:::theirs"]]
    assert listing[0]["ContextEntries"][0]["ContextKeyValues"] == ["dogs/"]


@pytest.mark.parametrize(
    ("action", "resource", "message"),
    [
        (
            "s3:PutObject",
            "arn:aws:s3:::kennel-dev-artifacts/training/jobs/x",
            r"may s3:PutObject[\s\S]*\./inv apply",
        ),
        (
            "s3:GetObject",
            "arn:aws:s3:::theirs/dogs/train/a/1.jpg",
            r"may s3:GetObject[\s\S]*data_bucket in the stage's tfvars",
        ),
        ("s3:ListBucket", "arn:aws:s3:::theirs", r"may s3:ListBucket[\s\S]*prefix dogs/"),
    ],
)
def test_a_right_that_the_role_lacks_is_told_with_its_remedy(
    stage: Any,
    outputs: dict[str, Any],
    theirs: str,
    action: str,
    resource: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_iam(stage, Iam((action, resource)), monkeypatch)
    with pytest.raises(RightsError, match=message):
        rights.check_role(stage, outputs, JobOptions(), theirs, "dogs/train/a/1.jpg")


def test_of_another_accounts_bucket_the_policy_to_add_is_named(
    stage: Any, outputs: dict[str, Any], theirs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs["data_bucket_policy"] = POLICY
    with_iam(stage, Iam(("s3:ListBucket", "arn:aws:s3:::theirs")), monkeypatch)
    with pytest.raises(RightsError, match="terraform output -raw data_bucket_policy"):
        rights.check_role(stage, outputs, JobOptions(), theirs, "dogs/train/a/1.jpg")


def test_photos_under_a_key_of_kms_need_it_too(
    stage: Any, outputs: dict[str, Any], theirs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "arn:aws:kms:us-east-1:210987654321:key/0123"
    stage.client("s3").put_object(
        Bucket="theirs",
        Key="dogs/train/a/2.jpg",
        Body=io.BytesIO(b"photo"),
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId=key,
    )
    with_iam(stage, Iam(("kms:Decrypt", key)), monkeypatch)
    with pytest.raises(RightsError, match=rf"may kms:Decrypt[\s\S]*{key}[\s\S]*and its key"):
        rights.check_role(stage, outputs, JobOptions(), theirs, "dogs/train/a/2.jpg")


def test_the_artifact_buckets_own_key_is_needed_for_results(
    stage: Any, outputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/0123"
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    stage.client("s3").put_bucket_encryption(
        Bucket=outputs["artifact_bucket"], ServerSideEncryptionConfiguration={"Rules": [rule]}
    )
    with_iam(stage, Iam(("kms:GenerateDataKey", key)), monkeypatch)
    with pytest.raises(RightsError, match="may kms:GenerateDataKey"):
        rights.check_role(stage, outputs, JobOptions())


def test_a_caller_who_may_not_ask_iam_is_warned_and_goes_on(
    stage: Any, outputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_iam(stage, Iam(refuses="AccessDenied"), monkeypatch)
    warnings = rights.check_role(stage, outputs, JobOptions())
    assert len(warnings) == 1
    assert "could not be asked of IAM (AccessDenied): iam:SimulatePrincipalPolicy" in warnings[0]


def test_a_role_that_is_gone_is_told(
    stage: Any, outputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_iam(stage, Iam(refuses="NoSuchEntity"), monkeypatch)
    with pytest.raises(RightsError, match="The role of the jobs exists"):
        rights.check_role(stage, outputs, JobOptions())
