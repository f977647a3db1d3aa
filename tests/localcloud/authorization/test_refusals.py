"""Who is refused, and in which words."""

from __future__ import annotations

import hashlib
import io
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.auth
import pytest
import urllib3
from botocore.exceptions import ClientError

from localcloud import control
from localcloud.authorization import signatures
from localcloud.authorization.callers import Signature, Unknown
from localcloud.control import CloudInfo
from tests.clients import clients
from tests.localcloud.authorization.conftest import AsRole, Client, allow, deny
from tests.localcloud.authorization.raw import Raw

ASKED = {
    "s3": "list_buckets",
    "ec2": "describe_vpcs",
    "iam": "list_roles",
    "sagemaker": "list_endpoints",
    "lambda": "list_functions",
    "cloudwatch": "list_metrics",
}


def codes(client: Client) -> list[tuple[str, int]]:
    found = []
    for service, operation in ASKED.items():
        with pytest.raises(ClientError) as caught:
            getattr(client(service), operation)()
        answer = caught.value.response
        found.append((answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]))
    return found


def message(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Message"])


def test_keys_that_nobody_has_are_refused_as_each_service_does(cloud: CloudInfo) -> None:
    assert codes(clients(cloud, key="AKIAIOSFODNN7EXAMPLE")) == [
        ("InvalidAccessKeyId", 403),
        ("AuthFailure", 401),
        ("InvalidClientTokenId", 403),
        *[("UnrecognizedClientException", 403)] * 3,
    ]


def test_a_wrong_secret_is_refused_as_each_service_does(cloud: CloudInfo) -> None:
    assert codes(clients(cloud, secret="another")) == [
        ("SignatureDoesNotMatch", 403),
        ("AuthFailure", 401),
        ("SignatureDoesNotMatch", 403),
        *[("InvalidSignatureException", 403)] * 3,
    ]


def test_a_session_without_its_token_is_refused(cloud: CloudInfo, client: Client, as_role: AsRole) -> None:
    keys = as_role()("s3")._request_signer._credentials
    for token in (None, keys.token[:-1]):
        told = codes(clients(cloud, key=keys.access_key, secret=keys.secret_key, token=token))
        assert told[0] == ("InvalidToken", 400)
        assert told[2:4] == [("InvalidClientTokenId", 403), ("UnrecognizedClientException", 403)]


@pytest.mark.parametrize(("seconds", "good"), [(-240, True), (-400, False), (400, False)])
def test_a_signature_is_good_for_five_minutes(
    client: Client, monkeypatch: pytest.MonkeyPatch, seconds: float, good: bool
) -> None:
    then = datetime.now(UTC) + timedelta(seconds=seconds)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: then)
    if good:
        client("sagemaker").list_endpoints()
        return
    assert "Signature expired" in message(client("sagemaker").list_endpoints)
    client("s3").list_buckets()  # a quarter of an hour


def test_a_stopped_key_is_refused(cloud: CloudInfo, client: Client) -> None:
    iam = client("iam")
    iam.create_user(UserName="leaver")
    key = iam.create_access_key(UserName="leaver")["AccessKey"]
    user = clients(cloud, key=key["AccessKeyId"], secret=key["SecretAccessKey"])
    assert user("sts").get_caller_identity()["Arn"] == "arn:aws:iam::123456789012:user/leaver"
    iam.update_access_key(UserName="leaver", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        user("sts").get_caller_identity()


def test_the_key_of_a_user_who_is_gone_is_not_the_next_ones_of_the_name(
    cloud: CloudInfo, client: Client
) -> None:
    client("iam").create_user(UserName="namesake")
    key = client("iam").create_access_key(UserName="namesake")["AccessKey"]
    client("iam").delete_user(UserName="namesake")
    client("iam").create_user(UserName="namesake")
    old = clients(cloud, key=key["AccessKeyId"], secret=key["SecretAccessKey"])
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        old("sts").get_caller_identity()


def test_refusals_are_worded_as_aws_does(as_role: AsRole) -> None:
    arn = "arn:aws:sts::123456789012:assumed-role/"
    said = message(as_role()("sagemaker").describe_endpoint, EndpointName="E")
    assert said.startswith(f"User: {arn}actor-")
    assert said.endswith(
        "/tester is not authorized to perform: sagemaker:DescribeEndpoint on resource: "
        "arn:aws:sagemaker:us-east-1:123456789012:endpoint/e because no identity-based policy allows the "
        "sagemaker:DescribeEndpoint action"
    )
    said = message(as_role(allow("s3:*"), deny("s3:ListAllMyBuckets"))("s3").list_buckets)
    assert said.endswith(
        's3:ListAllMyBuckets on resource: "*" with an explicit deny in an identity-based policy'
    )
    said = message(as_role(allow("*"), boundary=[allow("s3:*")])("ec2").describe_vpcs)
    assert said.endswith("because no permissions boundary allows the ec2:DescribeVpcs action")
    said = message(as_role(allow("*"), boundary=[allow("*"), deny("ec2:*")])("ec2").describe_vpcs)
    assert said.endswith("with an explicit deny in a permissions boundary")
    said = message(as_role(allow("*"), session=[allow("s3:*")])("iam").list_roles)
    assert said.endswith("because no session policy allows the iam:ListRoles action")


def test_boundary_and_session_policy_only_narrow(as_role: AsRole) -> None:
    limits = [allow(["s3:ListAllMyBuckets", "iam:ListRoles"])]
    narrowed = as_role(allow("s3:*"), boundary=limits, session=limits)
    narrowed("s3").list_buckets()
    assert "no identity-based policy" in message(narrowed("iam").list_roles)


def test_conditions_know_the_caller_the_request_and_the_resource(as_role: AsRole, client: Client) -> None:
    client("iam").create_role(
        RoleName="tagged",
        AssumeRolePolicyDocument='{"Statement": []}',
        Tags=[{"Key": "Team", "Value": "dogs"}],
    )
    own = allow(
        "iam:GetRole",
        Condition={
            "StringEquals": {
                "aws:ResourceTag/team": "${aws:PrincipalTag/team}",
                "aws:PrincipalAccount": "123456789012",
            }
        },
    )
    ours = as_role(own, Tags=[{"Key": "Team", "Value": "dogs"}])("iam")
    theirs = as_role(own, Tags=[{"Key": "Team", "Value": "cats"}])("iam")
    ours.get_role(RoleName="tagged")
    assert "iam:GetRole" in message(theirs.get_role, RoleName="tagged")
    untagged = as_role(own)("iam")
    assert "iam:GetRole" in message(untagged.get_role, RoleName="tagged")


def test_a_signed_url_is_its_signers(cloud: CloudInfo, client: Client, as_role: AsRole) -> None:
    client("s3").create_bucket(Bucket="signed")
    client("s3").put_object(Bucket="signed", Key="a b/ü", Body=b"x")
    reader = as_version_4(cloud, as_role(allow("s3:GetObject", "arn:aws:s3:::signed/a*")))
    place = {"Bucket": "signed", "Key": "a b/ü"}
    url = reader.generate_presigned_url("get_object", Params=place, ExpiresIn=60)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"x"
    assert urllib3.request("GET", url.replace("signed/a", "signed/c"), retries=False).status == 403
    late = reader.generate_presigned_url("get_object", Params=place, ExpiresIn=1)
    deadline = time.monotonic() + 20
    while urllib3.request("GET", late, retries=False).status == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    answer = urllib3.request("GET", late, retries=False)
    assert (answer.status, b"Request has expired" in answer.data) == (403, True)
    other = as_version_4(cloud, as_role()).generate_presigned_url("get_object", Params=place)
    assert urllib3.request("GET", other, retries=False).status == 403
    outdated = client("s3").generate_presigned_url("get_object", Params=place)  # boto3's old default
    answer = urllib3.request("GET", outdated, retries=False)
    assert (answer.status, b"Please use AWS4-HMAC-SHA256" in answer.data) == (400, True)


@pytest.mark.parametrize("name", ["x-amz-copy-source", "x-amz-acl"])
def test_who_has_a_signed_url_adds_no_header_to_it(cloud: CloudInfo, client: Client, name: str) -> None:
    client("s3").create_bucket(Bucket="dropbox")
    client("s3").put_object(Bucket="dropbox", Key="secret", Body=b"x")
    value = {"x-amz-copy-source": "/dropbox/secret", "x-amz-acl": "public-read"}[name]
    told = Raw("PUT", "/dropbox/new", unsigned={name: value}, presigned=True).send(cloud, client)
    assert (told[0], b"headers present in the request which were not signed" in told[1]) == (403, True)
    assert Raw("PUT", "/dropbox/new", headers={name: value}, presigned=True).send(cloud, client)[0] == 200


def test_the_digest_in_a_signed_url_is_that_of_the_body() -> None:
    signature = Signature("local", "20260101", "us-east-1", "s3", ("host",), "0", presigned=True)
    digest = hashlib.sha256(b"agreed").hexdigest()
    signed = {"HTTP_X_AMZ_CONTENT_SHA256": digest}
    assert signatures._payload({**signed, "wsgi.input": io.BytesIO(b"agreed")}, signature) == digest
    with pytest.raises(Unknown, match="content"):
        signatures._payload({**signed, "wsgi.input": io.BytesIO(b"other")}, signature)


def as_version_4(cloud: CloudInfo, client: Client) -> Any:
    keys = client("s3")._request_signer._credentials
    credentials = {"key": keys.access_key, "secret": keys.secret_key, "token": keys.token}
    return clients(cloud, signature_version="s3v4", **credentials)("s3")


def test_unsigned_requests_are_nobodys(cloud: CloudInfo) -> None:
    url = cloud.endpoint_url
    assert b"<Code>AccessDenied" in urllib3.request("GET", url, retries=False).data
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = urllib3.request("POST", f"{url}/", body=b"Action=ListRoles", headers=form, retries=False)
    assert (answer.status, b"MissingAuthenticationToken" in answer.data) == (403, True)
    target = {"X-Amz-Target": "SageMaker.ListEndpoints"}
    answer = urllib3.request("POST", f"{url}/", body=b"{}", headers=target, retries=False)
    assert (answer.status, b"MissingAuthenticationTokenException" in answer.data) == (403, True)


def test_the_account_of_a_request_is_not_the_callers_to_say(cloud: CloudInfo) -> None:
    sts = clients(cloud)("sts")
    sts.meta.events.register(
        "before-sign.*", lambda request, **_: request.headers.add_header("X-Moto-Account-Id", "210987654321")
    )
    assert sts.get_caller_identity()["Account"] == "123456789012"


def test_decisions_are_kept_with_the_statements_that_made_them(
    cloud: CloudInfo, as_role: AsRole, client: Client
) -> None:
    user = as_role(allow("s3:ListAllMyBuckets", Sid="SeeBuckets"), deny("ec2:*"))
    name = user("sts").get_caller_identity()["Arn"]
    user("s3").list_buckets()
    user("s3").list_buckets()
    message(user("ec2").describe_vpcs)
    state_dir = cloud.log_file.parent
    found = {one["action"]: one for one in control.decisions(state_dir) if one["principal"] == name}
    seen, refused = found["s3:ListAllMyBuckets"], found["ec2:DescribeVpcs"]
    assert (seen["allowed"], seen["statements"], seen["count"]) == (True, ["rights/SeeBuckets"], 2)
    assert (refused["allowed"], refused["statements"]) == (False, ["rights/1"])
    answer = urllib3.request("GET", f"{cloud.endpoint_url}/_localcloud/decisions", retries=False)
    assert answer.status == 403
