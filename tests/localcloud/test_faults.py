"""Faults on chosen calls: how they are told, and what SDKs make of them."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from localcloud import control
from localcloud.control import CloudInfo
from localcloud.errors import CloudError
from localcloud.faults.rules import Faults, Rule
from localcloud.operations import Call

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "sagemaker": ("describe_endpoint", {"EndpointName": "e"}),
    "s3": ("get_object", {"Bucket": "b", "Key": "k"}),
    "iam": ("get_role", {"RoleName": "r"}),
    "ec2": ("describe_vpcs", {}),
    "lambda": ("get_function", {"FunctionName": "f"}),
    "cloudwatch": ("describe_alarms", {}),
    "sagemaker-runtime": ("invoke_endpoint", {"EndpointName": "e", "Body": b"x"}),
}


class Faulty:
    def __init__(self, cloud: CloudInfo) -> None:
        self.folder = Path(cloud.log_file).parent

    def add(self, service: str, operation: str, kind: str, **more: Any) -> None:
        rule = {"service": service, "operation": operation, "kind": kind, **more}
        control.faults(self.folder, add=[rule])

    def told(self) -> dict[str, Any]:
        return control.faults(self.folder)


@pytest.fixture
def faulty(cloud: CloudInfo) -> Iterator[Faulty]:
    one = Faulty(cloud)
    yield one
    control.faults(one.folder, clear=True)


def refused(client: Callable[[str], Any], service: str) -> tuple[int, str]:
    name, arguments = CALLS[service]
    with pytest.raises(ClientError) as caught:
        getattr(client(service), name)(**arguments)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


@pytest.mark.parametrize(
    ("service", "kind", "status", "code"),
    [
        ("sagemaker", "throttle", 400, "ThrottlingException"),
        ("s3", "throttle", 503, "SlowDown"),
        ("iam", "throttle", 400, "Throttling"),
        ("ec2", "throttle", 503, "RequestLimitExceeded"),
        ("lambda", "throttle", 429, "TooManyRequestsException"),
        ("cloudwatch", "throttle", 400, "Throttling"),
        ("sagemaker-runtime", "throttle", 400, "ThrottlingException"),
        ("sagemaker", "error", 500, "InternalFailure"),
        ("s3", "error", 500, "InternalError"),
        ("iam", "error", 500, "ServiceFailure"),
        ("lambda", "error", 500, "ServiceException"),
        ("cloudwatch", "error", 500, "InternalFailure"),
        ("sagemaker", "denied", 400, "AccessDeniedException"),
        ("s3", "denied", 403, "AccessDenied"),
        ("iam", "denied", 403, "AccessDenied"),
        ("ec2", "denied", 403, "UnauthorizedOperation"),
        ("lambda", "denied", 403, "AccessDeniedException"),
    ],
)
def test_a_call_fails_in_the_words_of_its_service(
    client: Callable[[str], Any], faulty: Faulty, service: str, kind: str, status: int, code: str
) -> None:
    name = client(service).meta.method_to_api_mapping[CALLS[service][0]]
    faulty.add(service, name, kind)
    assert refused(client, service) == (status, code)
    told = faulty.told()
    assert told["counts"] == {f"{kind} {service} {name}": 1}
    assert told["dealt"][0]["operation"] == name


def test_an_outage_can_be_a_503(client: Callable[[str], Any], faulty: Faulty) -> None:
    faulty.add("sagemaker", "*", "error", code="ServiceUnavailable")
    assert refused(client, "sagemaker") == (503, "ServiceUnavailable")


def test_a_rule_skips_the_first_calls_and_ends_after_its_count(
    client: Callable[[str], Any], faulty: Faulty
) -> None:
    faulty.add("ec2", "DescribeVpcs", "throttle", after=1, count=2)
    outcomes = []
    for _ in range(5):
        try:
            client("ec2").describe_vpcs()
            outcomes.append("ok")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])
    assert outcomes == ["ok", "RequestLimitExceeded", "RequestLimitExceeded", "ok", "ok"]


def test_a_rule_may_be_about_one_key(client: Callable[[str], Any], faulty: Faulty) -> None:
    client("s3").create_bucket(Bucket="about")
    faulty.add("s3", "PutObject", "throttle", about="about/this")
    client("s3").put_object(Bucket="about", Key="that", Body=b"1")
    with pytest.raises(ClientError, match="SlowDown"):
        client("s3").put_object(Bucket="about", Key="this", Body=b"1")


def test_the_same_seed_deals_the_same_faults() -> None:
    call = Call("s3", "PutObject", "/b/k", b"")

    def dealt() -> list[bool]:
        faults = Faults()
        faults.add(
            [Rule.read({"service": "s3", "operation": "*", "kind": "error", "probability": 0.5, "seed": 7})]
        )
        return [faults.deal(call) is not None for _ in range(40)]

    assert dealt() == dealt()
    assert 5 < sum(dealt()) < 35


def test_an_upload_that_is_cut_is_stored_nowhere(client: Callable[[str], Any], faulty: Faulty) -> None:
    client("s3").create_bucket(Bucket="uploads")
    faulty.add("s3", "PutObject", "cut")
    with pytest.raises(BotoCoreError):
        client("s3").put_object(Bucket="uploads", Key="k", Body=b"x" * 1000)
    assert "Contents" not in client("s3").list_objects_v2(Bucket="uploads")


def test_parts_of_an_upload_that_is_cut_stay_behind(client: Callable[[str], Any], faulty: Faulty) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="parts")
    upload = s3.create_multipart_upload(Bucket="parts", Key="k")["UploadId"]
    part = s3.upload_part(Bucket="parts", Key="k", UploadId=upload, PartNumber=1, Body=b"x")
    faulty.add("s3", "CompleteMultipartUpload", "cut")
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    with pytest.raises(BotoCoreError):
        s3.complete_multipart_upload(Bucket="parts", Key="k", UploadId=upload, MultipartUpload=parts)
    assert "Contents" not in s3.list_objects_v2(Bucket="parts")
    assert [one["UploadId"] for one in s3.list_multipart_uploads(Bucket="parts")["Uploads"]] == [upload]


def test_a_download_is_cut_in_its_middle(client: Callable[[str], Any], faulty: Faulty) -> None:
    client("s3").create_bucket(Bucket="downloads")
    client("s3").put_object(Bucket="downloads", Key="k", Body=b"x" * 100_000)
    faulty.add("s3", "GetObject", "cut")
    body = client("s3").get_object(Bucket="downloads", Key="k")["Body"]
    with pytest.raises((BotoCoreError, OSError)):
        body.read()


def test_what_is_cut_elsewhere_has_happened(client: Callable[[str], Any], faulty: Faulty) -> None:
    faulty.add("iam", "CreateRole", "cut")
    with pytest.raises((BotoCoreError, ResponseParserError)):  # the latter where botocore takes half for all
        client("iam").create_role(RoleName="half-told", AssumeRolePolicyDocument=TRUST)
    assert client("iam").get_role(RoleName="half-told")["Role"]["RoleName"] == "half-told"


def test_no_answer_comes_until_the_time_is_over(client: Callable[[str], Any], faulty: Faulty) -> None:
    faulty.add("ec2", "DescribeVpcs", "timeout", seconds=0.5)
    began = time.monotonic()
    with pytest.raises(BotoCoreError):
        client("ec2").describe_vpcs()
    assert time.monotonic() - began >= 0.5


def test_sdks_try_again(cloud: CloudInfo, faulty: Faulty) -> None:
    for kind in ("throttle", "error"):
        faulty.add("ec2", "DescribeVpcs", kind)
    faulty.add("ec2", "DescribeVpcs", "timeout", seconds=0.2)
    client = boto3.client(
        "ec2", endpoint_url=cloud.endpoint_url, region_name=cloud.region,
        aws_access_key_id="local", aws_secret_access_key="local",
        config=Config(retries={"mode": "standard", "total_max_attempts": 5}),
    )  # fmt: skip
    assert client.describe_vpcs()["Vpcs"]
    assert sum(faulty.told()["counts"].values()) == 3


def test_a_role_is_late(client: Callable[[str], Any], faulty: Faulty) -> None:
    faulty.add("iam", "CreateRole", "iam-delay", seconds=1)
    iam = client("iam")
    role = iam.create_role(RoleName="late", AssumeRolePolicyDocument=TRUST)["Role"]
    with pytest.raises(ClientError, match="The role with name late cannot be found"):
        iam.get_role(RoleName="late")
    with pytest.raises(ClientError, match="cannot be assumed by Lambda"):
        client("lambda").create_function(
            FunctionName="f", Role=role["Arn"], Runtime="python3.12", Handler="a.b", Code={"ZipFile": b""}
        )
    with pytest.raises(ClientError, match="Could not assume role"):
        client("sagemaker").create_model(ModelName="m", ExecutionRoleArn=role["Arn"])
    deadline = time.monotonic() + 20
    while True:
        try:
            assert iam.get_role(RoleName="late")
            break
        except ClientError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert faulty.told()["counts"]["iam-delay iam GetRole"] >= 1


def test_a_role_whose_trust_is_late_is_there(client: Callable[[str], Any], faulty: Faulty) -> None:
    iam = client("iam")
    role = iam.create_role(RoleName="late-trust", AssumeRolePolicyDocument=TRUST)["Role"]
    faulty.add("iam", "UpdateAssumeRolePolicy", "iam-delay", seconds=60)
    iam.update_assume_role_policy(RoleName="late-trust", PolicyDocument=TRUST)
    assert iam.get_role(RoleName="late-trust")
    with pytest.raises(ClientError, match="Could not assume role"):
        client("sagemaker").create_model(ModelName="m", ExecutionRoleArn=role["Arn"])


def test_there_are_no_instances(client: Callable[[str], Any], faulty: Faulty) -> None:
    faulty.add("ec2", "RunInstances", "capacity")
    images = client("ec2").describe_images(Owners=["amazon"])["Images"]
    with pytest.raises(ClientError, match=r"do not have sufficient t3\.micro capacity"):
        client("ec2").run_instances(
            ImageId=images[0]["ImageId"], InstanceType="t3.micro", MinCount=1, MaxCount=1
        )
    faulty.add("sagemaker", "CreateTrainingJob", "capacity", code="ResourceLimitExceeded")
    with pytest.raises(ClientError, match="for training job usage' is 0 Instances"):
        client("sagemaker").create_training_job(
            TrainingJobName="t",
            AlgorithmSpecification={"TrainingImage": "i", "TrainingInputMode": "File"},
            RoleArn="arn:aws:iam::123456789012:role/x",
            OutputDataConfig={"S3OutputPath": "s3://b/"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 60},
        )


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ([1], "A fault is an object"),
        ({"service": "s3", "operation": "*"}, "names service, operation and kind"),
        ({"service": "s3", "operation": "*", "kind": "error", "often": 1}, "no such field"),
        ({"service": "s3", "operation": "*", "kind": "fire"}, "kind is one of throttle"),
        ({"service": "s4", "operation": "*", "kind": "error"}, "the name of a boto3 client"),
        ({"service": "s3", "operation": "PutObjects", "kind": "error"}, "has an operation of the name"),
        ({"service": "s3", "operation": "*", "kind": "error", "count": 0}, "whole number from 1"),
        ({"service": "s3", "operation": "*", "kind": "error", "count": True}, "whole number from 1"),
        ({"service": "s3", "operation": "*", "kind": "error", "probability": 2}, "above 0 and at most 1"),
        ({"service": "s3", "operation": "*", "kind": "error", "seed": 1}, "goes with a probability"),
        ({"service": "s3", "operation": "*", "kind": "error", "seconds": 1}, "take seconds"),
        ({"service": "s3", "operation": "*", "kind": "timeout", "seconds": 900}, "at most 300"),
        ({"service": "s3", "operation": "*", "kind": "error", "code": "Odd"}, "InternalFailure or"),
        ({"service": "s3", "operation": "*", "kind": "throttle", "code": "Odd"}, "has no code"),
        ({"service": "s3", "operation": "PutObject", "kind": "capacity"}, "where instances are asked for"),
        ({"service": "iam", "operation": "GetRole", "kind": "iam-delay"}, "Rights are late"),
        ({"service": "*", "operation": "Get*", "kind": "error"}, "take the operation"),
    ],
)
def test_a_rule_that_is_broken_is_told(rule: Any, complaint: str) -> None:
    with pytest.raises(CloudError, match=complaint.replace("*", r"\*")):
        Rule.read(rule)


def test_a_broken_rule_adds_none(faulty: Faulty) -> None:
    with pytest.raises(CloudError, match="kind is one of"):
        control.faults(
            faulty.folder,
            add='[{"service":"s3","operation":"*","kind":"error"},{"service":"s3","operation":"*","kind":"x"}]',
        )
    with pytest.raises(CloudError, match="written as JSON"):
        control.faults(faulty.folder, add="throttle s3")
    assert faulty.told()["rules"] == []


def test_only_the_root_sets_faults(cloud: CloudInfo) -> None:
    request = urllib.request.Request(f"{cloud.endpoint_url}/_localcloud/faults", method="DELETE")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    assert caught.value.code == 403
    caught.value.close()
