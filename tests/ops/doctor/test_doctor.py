from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    UnauthorizedSSOTokenError,
)
from moto import mock_aws

from ml.errors import KennelError
from ops import doctor, status, terraform
from ops.doctor import account, boundary, buckets, concurrency, machine, quotas
from ops.doctor.finding import Finding

ACCOUNT = "123456789012"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/limits"
DENIED: Any = {"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The stage dev in an account that moto makes up, and a tfvars file to write."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setattr(status, "last_apply", lambda _: ({}, None))
    file = tmp_path / "dev.tfvars"
    file.write_text('stage = "dev"\n')
    with mock_aws():
        yield SimpleNamespace(
            client=lambda service: boto3.client(service, region_name="us-east-1"), name="dev",
            region="us-east-1", account_id=ACCOUNT, is_running=True, variables_file=file,
            environment={"AWS_REGION": "us-east-1"}, session=boto3.Session(), identity="account 1",
            settings=SimpleNamespace(provider_mirror=None), directory=tmp_path,
        )  # fmt: skip


def answering(stage: Any, **answers: Any) -> Any:
    """The stage with a cloud that answers what it is told to, or refuses."""

    class Client:
        def __getattr__(self, operation: str) -> Any:
            def asked(**_: Any) -> Any:
                answer = answers[operation]
                if isinstance(answer, Exception):
                    raise answer
                return answer

            return asked

    stage.client = lambda _: Client()
    return stage


def levels(found: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(one.name, one.level) for one in found]


def test_a_check_that_breaks_is_a_line_and_never_a_traceback(stage: Any) -> None:
    def breaking(error: Exception) -> Callable[[Any], Iterator[Finding]]:
        def check(_: Any) -> Iterator[Finding]:
            raise error

        return check

    errors = (
        KennelError("A rule.", "this", "Do that."),
        ClientError(DENIED, "ListThings"),
        ClientError({"Error": {"Code": "Throttling", "Message": "slow down"}}, "ListThings"),
        EndpointConnectionError(endpoint_url="https://x"),
        ZeroDivisionError("no"),
    )
    found = [line for error in errors for line in doctor._run("a check", breaking(error), stage)]
    assert [(one.level, one.text) for one in found] == [
        ("error", "A rule. (this)"),
        ("warning", "not allowed to look: ListThings"),
        ("error", "Throttling: slow down"),
        ("error", 'Could not connect to the endpoint URL: "https://x"'),
        ("error", "ZeroDivisionError: no"),
    ]
    assert found[0].remedy == "Do that."
    assert all(one.remedy for one in found)


def test_what_a_check_said_before_it_broke_stands(stage: Any) -> None:
    def check(_: Any) -> Iterator[Finding]:
        yield Finding("boundary", "ok", "the first role")
        raise ClientError(DENIED, "GetRole")

    assert [one.level for one in doctor._run("boundary", check, stage)] == ["ok", "warning"]


def test_where_the_credentials_are_refused_nothing_else_says_the_same(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: Any = {"Error": {"Code": "ExpiredToken", "Message": "expired"}, "ResponseMetadata": {}}
    refused = ClientError(told, "GetCallerIdentity")
    monkeypatch.setattr(doctor, "HERE", {})
    found = doctor.examine(answering(stage, get_caller_identity=refused))
    assert [(one.name, one.level) for one in found] == [("credentials", "error"), ("clock", "warning")]
    assert found[0].text == "ExpiredToken: expired"
    assert all(one.remedy for one in found)


@pytest.mark.parametrize("error", [NoCredentialsError(), UnauthorizedSSOTokenError()])
def test_without_credentials_the_one_line_says_how_to_sign_in(
    error: Exception, stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "HERE", {"cloud": account.cloud})
    (found,) = doctor.examine(answering(stage, get_caller_identity=error))
    assert (found.name, found.level) == ("credentials", "error")
    assert "aws sso login" in (found.remedy or "")


def test_findings_fit_eighty_columns() -> None:
    found = doctor.lines([Finding("endpoint quota", "error", "word " * 40, "remedy " * 30)])
    assert max(map(len, found)) <= 80
    assert found[0].startswith("error    endpoint quota        word")


def test_credentials_are_told_with_whose_they_are_and_until_when(stage: Any) -> None:
    asked = answering(stage, get_caller_identity={"Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/r/me"})
    assert levels(account.credentials(asked)) == [("credentials", "ok")]
    soon = datetime.now(UTC) + timedelta(minutes=10)
    asked.session = SimpleNamespace(get_credentials=lambda: SimpleNamespace(_expiry_time=soon))
    (found,) = account.credentials(asked)
    assert found.level == "warning"
    assert f"until {soon:%Y-%m-%d %H:%M} UTC" in found.text
    asked.session = SimpleNamespace(get_credentials=lambda: None)
    root = answering(asked, get_caller_identity={"Arn": f"arn:aws:iam::{ACCOUNT}:root"})
    assert levels(account.credentials(root)) == [("credentials", "warning")]


def test_a_region_is_that_of_the_tfvars_and_enabled(stage: Any) -> None:
    assert levels(account.region(stage)) == [("region", "ok")]
    asked = answering(stage, describe_regions={"Regions": [{"OptInStatus": "not-opted-in"}]})
    (found,) = account.region(asked)
    assert (found.level, found.text) == ("error", "us-east-1: not-opted-in")
    stage.environment = {"AWS_REGION": "eu-west-1"}
    (found,) = account.region(stage)
    assert found.text == "the stage's is us-east-1, and the cloud is in eu-west-1"


@pytest.mark.parametrize(("seconds", "level"), [(0, "ok"), (-120, "warning"), (400, "error")])
def test_a_clock_that_is_off_is_told_also_where_it_is_why_the_call_is_refused(
    seconds: int, level: str, stage: Any
) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds))
    told: Any = {"ResponseMetadata": {"HTTPHeaders": {"date": date}}}
    refused = ClientError(told | {"Error": {"Code": "RequestExpired", "Message": ""}}, "GetCallerIdentity")
    for answer in (told, refused):
        assert levels(account.clock(answering(stage, get_caller_identity=answer))) == [("clock", level)]


def test_a_state_of_a_newer_terraform_is_an_error_before_terraform_says_so(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terraform, "version", lambda: (1, 11, 4))
    for written, level in ((None, "ok"), ("1.9.8", "ok"), ("1.12.0", "error")):
        monkeypatch.setattr(status, "stored_state", lambda _, w=written: ({"terraform_version": w}, None))
        assert levels(machine.terraform_version(stage)) == [("terraform", level)]


def test_packages_are_those_that_are_pinned(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = machine.packages(stage)
    assert found.level == "ok", found.text
    monkeypatch.setattr("importlib.metadata.version", lambda _: "0.0.1")
    (found,) = machine.packages(stage)
    assert found.level == "warning"
    assert "torch 0.0.1, pinned " in found.text


def test_a_disk_without_room_is_told(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, level in ((10 * 1024**3, "ok"), (2 * 1024**3, "warning"), (1024, "error")):
        monkeypatch.setattr("shutil.disk_usage", lambda _, f=free: SimpleNamespace(free=f))
        assert levels(machine.disk(stage)) == [("disk", level)]


@pytest.mark.parametrize(
    ("limit", "others", "level", "told"),
    [
        (8, 0, "ok", "an update at full size needs 8"),
        (6, 0, "warning", "an update at 4 instances needs 8"),
        (3, 0, "error", "scaling may want 4"),
        (0, 0, "error", "the endpoint begins with 1"),
        (8, 3, "warning", "others use 3; an update at 4 instances needs 8"),
    ],
)
def test_the_endpoint_needs_its_quota_twice_at_its_largest(
    limit: int, others: int, level: str, told: str, stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.variables_file.write_text('endpoint = { instance_type = "ml.c5.large" }\n')
    name = "ml.c5.large for endpoint usage"
    monkeypatch.setattr(quotas, "read", lambda *_: {name: float(limit)})
    monkeypatch.setattr(quotas, "in_use", lambda _, **__: Counter({"ml.c5.large": others}))
    found = next(quotas.sagemaker(stage))
    assert (found.level, name in found.text) == (level, True)
    assert told in found.text
    assert (found.remedy or "").startswith("Ask for more: Service Quotas, Amazon SageMaker") == (
        level != "ok"
    )


def test_the_quota_of_all_endpoints_counts_those_of_other_types_and_not_our_own(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    types = {"kennel-dev": "ml.m5.large", "like-ours": "ml.m5.large", "another": "ml.c5.large"}

    class SageMaker:
        def list_endpoints(self, **_: Any) -> Any:
            return {"Endpoints": [{"EndpointName": name} for name in types]}

        def describe_endpoint(self, *, EndpointName: str) -> Any:
            variants = [{"VariantName": "v", "DesiredInstanceCount": 2}]
            return {"EndpointConfigName": EndpointName, "ProductionVariants": variants}

        def describe_endpoint_config(self, *, EndpointConfigName: str) -> Any:
            return {"ProductionVariants": [{"VariantName": "v", "InstanceType": types[EndpointConfigName]}]}

    stage.client = lambda _: SageMaker()
    limits = {"ml.m5.large for endpoint usage": 99.0, quotas.ALL_ENDPOINTS: 99.0}
    monkeypatch.setattr(quotas, "read", lambda *_: limits)
    one, all_together = list(quotas.sagemaker(stage))[:2]
    assert "99, others use 2; " in one.text
    assert "99, others use 4; " in all_together.text
    assert quotas.in_use(stage) == {"ml.m5.large": 4, "ml.c5.large": 2}


def test_jobs_that_the_account_may_not_start_are_a_warning(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = {"ml.g4dn.xlarge for training job usage": 1.0, "ml.m5.large for transform job usage": 0.0}
    monkeypatch.setattr(quotas, "read", lambda *_: short)
    monkeypatch.setattr(quotas, "in_use", lambda _, **__: None)
    found = list(quotas.sagemaker(stage))
    assert [(one.name, one.level) for one in found] == [
        ("endpoint quota", "ok"), ("training quota", "ok"), ("tuning quota", "warning"), ("bulk quota", "warning"),
    ]  # fmt: skip
    assert found[2].text.endswith(": 1, 2 trials at a time needs 2")


def test_quotas_that_may_not_be_read_are_a_warning(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "read", lambda *_: None)
    for check in (quotas.sagemaker, quotas.network):
        (found,) = check(stage)
        assert (found.level, found.text) == ("warning", "they could not be read")


def test_a_network_that_is_still_to_be_made_needs_room(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    short = {quotas.VPCS: 1.0, quotas.ADDRESSES: 5.0, quotas.GATEWAYS: 5.0}
    monkeypatch.setattr(quotas, "read", lambda *_: short)
    stage.variables_file.write_text('network = { internet = "nat" }\n')
    found = list(quotas.network(stage))  # the account's default VPC is the one
    assert [(one.level, one.text) for one in found] == [
        ("error", "VPCs per Region: 1, and 1 are in use"),
        ("ok", "EC2-VPC Elastic IPs: 5, 0 in use"),
        ("ok", "NAT gateways per Availability Zone: 5, 0 in use"),
    ]
    stage.variables_file.write_text('network = { mode = "default" }\n')
    assert list(quotas.network(stage)) == []


def test_gateways_in_other_zones_take_nothing_of_the_zones_quota(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ec2 = stage.client("ec2")
    subnets = ec2.describe_subnets()["Subnets"]
    for subnet in (subnet for subnet in subnets if subnet["AvailabilityZone"] != "us-east-1b"):
        ec2.create_nat_gateway(SubnetId=subnet["SubnetId"], ConnectivityType="private")
    full = {quotas.VPCS: 5.0, quotas.ADDRESSES: 5.0, quotas.GATEWAYS: 1.0}
    monkeypatch.setattr(quotas, "read", lambda *_: full)
    stage.variables_file.write_text('network = { internet = "nat" }\n')
    assert [one.text for one in quotas.network(stage)][2] == f"{quotas.GATEWAYS}: 1, and 1 are in use"
    monkeypatch.setattr(quotas, "OLD_ZONES", {subnets[0]["AvailabilityZoneId"]})  # us-east-1a
    assert [one.text for one in quotas.network(stage)][2] == f"{quotas.GATEWAYS}: 1, 0 in use"


@pytest.mark.parametrize(("free", "level"), [(150, "ok"), (149, "error")])
def test_a_hundred_of_the_accounts_concurrency_stay_free(free: int, level: str, stage: Any) -> None:
    limits = {"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": free}}
    none: Any = {"Error": {"Code": "ResourceNotFoundException", "Message": ""}}
    asked = answering(
        stage,
        get_account_settings=limits,
        get_function_concurrency=ClientError(none, "GetFunctionConcurrency"),
    )
    assert levels(concurrency.concurrency(asked)) == [("function concurrency", level)]
    if level == "error":
        with pytest.raises(KennelError, match="100 of the account's must stay unreserved"):
            concurrency.refuse_short(asked)
    else:
        concurrency.refuse_short(asked)
    for call in ("get_account_settings", "get_function_concurrency"):
        answers = {"get_account_settings": limits, call: ClientError(DENIED, call)}
        concurrency.refuse_short(answering(stage, **answers))  # Lambda itself says so then


def test_a_bucket_that_may_be_read_is_told_and_one_that_is_empty(stage: Any) -> None:
    stage.variables_file.write_text('data_bucket = { name = "photos", mode = "existing" }\n')
    (found,) = buckets.data(stage)
    assert (found.level, found.text) == ("error", "photos: there is no such bucket")
    s3 = stage.client("s3")
    s3.create_bucket(Bucket="photos")
    assert levels(buckets.data(stage)) == [("data bucket", "warning")]
    s3.put_object(Bucket="photos", Key="a.jpg", Body=b"x")
    (found,) = buckets.data(stage)
    assert (found.level, found.text) == ("ok", "photos: you may list and read it")


@pytest.mark.parametrize(
    ("declared", "name"), [('name = "photos"', "photos"), ("", f"kennel-dev-data-{ACCOUNT}")]
)
def test_a_data_bucket_of_ours_is_made_by_the_first_apply(
    declared: str, name: str, stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.variables_file.write_text(f"data_bucket = {{ {declared} }}\n")
    (found,) = buckets.data(stage)
    assert (found.level, found.text) == ("ok", f"{name}: ./inv apply makes it")
    monkeypatch.setattr(status, "last_apply", lambda _: ({"data_bucket": name}, None))
    (found,) = buckets.data(stage)
    assert found.text == f"{name}: there is no such bucket"


@pytest.mark.parametrize(
    ("message", "allowed", "text", "remedy"),
    [
        ("no resource-based policy allows it", None, "by the bucket's policy", "data_bucket_policy"),
        ("no identity-based policy allows it", None, "by your own policies", "Your own rights need s3:ListBucket"),
        ("Access Denied", "allowed", "by the bucket's policy", "data_bucket_policy"),
        ("Access Denied", "implicitDeny", "by your own policies", "Your own rights need"),
        ("Access Denied", None, "by yours or the bucket's policy", "data_bucket_policy"),
        ("not authorized to perform kms:Decrypt: no resource-based policy", None, "by their key's", "data_key_policy"),
    ],
)  # fmt: skip
def test_a_bucket_that_refuses_is_told_with_the_side_that_lacks_what(
    message: str, allowed: str | None, text: str, remedy: str, stage: Any
) -> None:
    stage.variables_file.write_text('data_bucket = { name = "photos", mode = "existing" }\n')
    refused: Any = {"Error": {"Code": "AccessDenied", "Message": message}}
    decided: Any = {"EvaluationResults": [{"EvalDecision": allowed}]}
    asked = answering(
        stage,
        list_objects_v2=ClientError(refused, "ListObjectsV2"),
        get_caller_identity={"Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/dev/me"},
        simulate_principal_policy=decided if allowed else ClientError(DENIED, "SimulatePrincipalPolicy"),
    )
    (found,) = buckets.data(asked)
    assert found.level == "error"
    assert text in found.text
    assert remedy in (found.remedy or "")


def test_a_bucket_that_has_a_bad_moment_refuses_nobody(stage: Any) -> None:
    stage.variables_file.write_text('data_bucket = { name = "photos", mode = "existing" }\n')
    slow: Any = {"Error": {"Code": "SlowDown", "Message": "reduce your rate"}}
    asked = answering(stage, list_objects_v2=ClientError(slow, "ListObjectsV2"))
    for check in (buckets.artifacts, buckets.data):
        (found,) = doctor._run("a bucket", check, asked)
        assert (found.level, found.text) == ("error", "SlowDown: reduce your rate")


def test_the_roles_that_read_photos_are_asked_of_iam(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    iam, s3 = stage.client("iam"), stage.client("s3")
    stage.variables_file.write_text('data_bucket = { name = "photos", mode = "existing" }\n')
    s3.create_bucket(Bucket="photos")
    s3.put_object(Bucket="photos", Key="a.jpg", Body=b"x")
    arn = iam.create_role(RoleName="kennel-dev-training", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    monkeypatch.setattr(status, "last_apply", lambda _: ({"roles": {"training": {"arn": arn}}}, None))
    refused = {"EvaluationResults": [{"EvalActionName": "s3:ListBucket", "EvalDecision": "implicitDeny"}]}
    fake = SimpleNamespace(simulate_principal_policy=lambda **_: refused)
    stage.client = lambda service: fake if service == "iam" else s3
    first, second = buckets.data(stage)
    assert first.level == "ok"
    assert second.level == "error"
    assert "ours refuses: The role of the jobs may s3:ListBucket." in second.text


def test_the_artifact_bucket_is_made_by_the_first_apply(stage: Any) -> None:
    (found,) = buckets.artifacts(stage)
    assert (found.level, "./inv apply makes it" in found.text) == ("ok", True)
    stage.client("s3").create_bucket(Bucket=f"kennel-dev-artifacts-{ACCOUNT}")
    (found,) = buckets.artifacts(stage)
    assert (found.level, "you may read it" in found.text) == ("ok", True)


def test_a_boundary_exists_and_lets_the_roles_do_what_their_policies_say(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(boundary.boundary(stage)) == []
    stage.variables_file.write_text(f'permissions_boundary_arn = "{BOUNDARY}"\n')
    (found,) = boundary.boundary(stage)
    assert (found.level, found.text) == ("error", f"{BOUNDARY}: there is no such policy")

    allow = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::b/*"}
    results = [
        {
            "EvalActionName": action,
            "PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": fine},
        }
        for action, fine in (("s3:GetObject", True), ("s3:PutObject", False))
    ]
    asked = answering(
        stage,
        get_policy={},
        get_role={"Role": {"PermissionsBoundary": {"PermissionsBoundaryArn": BOUNDARY}}},
        list_role_policies={"PolicyNames": ["p"]},
        get_role_policy={"PolicyDocument": json.loads(json.dumps({"Statement": [allow]}))},
        simulate_principal_policy={"EvaluationResults": results},
    )
    assert levels(boundary.boundary(asked)) == [("boundary", "ok")]  # no roles yet
    role = {"name": "kennel-dev-lambda", "arn": f"arn:aws:iam::{ACCOUNT}:role/kennel-dev-lambda"}
    monkeypatch.setattr(status, "last_apply", lambda _: ({"roles": {"lambda": role}}, None))
    (found,) = boundary.boundary(asked)
    assert (found.level, found.text) == ("error", "keeps the role of lambda from s3:PutObject")

    (found,) = boundary.boundary(answering(asked, get_policy={}, get_role={"Role": {}}))
    assert (found.level, "does not carry it" in found.text) == ("warning", True)


def test_iam_is_asked_about_an_arn_or_about_everything(stage: Any) -> None:
    asked: list[str] = []

    class Iam:
        def list_role_policies(self, **_: Any) -> Any:
            return {"PolicyNames": ["p"]}

        def get_role_policy(self, **_: Any) -> Any:
            resources = ("arn:aws:s3:::b/*", "*")
            allows = [{"Effect": "Allow", "Action": "s3:Get", "Resource": each} for each in resources]
            return {"PolicyDocument": {"Statement": allows}}

        def simulate_principal_policy(self, *, ResourceArns: list[str], **_: Any) -> Any:
            asked.extend(ResourceArns)
            return {"EvaluationResults": []}

    assert list(boundary._refused(Iam(), "r", "arn")) == []
    assert asked == ["arn:aws:s3:::b/x", "*"]
