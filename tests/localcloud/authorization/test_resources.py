"""What resources' own policies say: to another account, without TLS, and from a VPC."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.control import CloudInfo
from tests.clients import clients, person
from tests.localcloud.authorization.conftest import (
    ACCOUNT,
    OTHER,
    AsRole,
    Client,
    allow,
    connected,
    document,
    trust,
)


def principal(effect: str, who: Any, action: str | list[str], resource: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Principal": who, "Action": action, "Resource": resource, **more}


def refusal(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    assert caught.value.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException", "403")
    return str(caught.value.response["Error"]["Message"])


@pytest.fixture
def shared(client: Client) -> str:
    client("s3").create_bucket(Bucket="shared")
    client("s3").put_object(Bucket="shared", Key="ours/x", Body=b"x")
    return "shared"


def stranger(other: Client, cloud: CloudInfo, name: str, *statements: dict[str, Any]) -> Client:
    """A role of the second account."""
    root = f"arn:aws:iam::{OTHER}:root"
    arn = other("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust({"AWS": root}))["Role"][
        "Arn"
    ]
    if statements:
        other("iam").put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(*statements))
    return connected(cloud, person(cloud, other)("sts").assume_role(RoleArn=arn, RoleSessionName="stranger"))


def test_another_accounts_bucket_takes_both_sides(
    cloud: CloudInfo, client: Client, other: Client, shared: str
) -> None:
    place = {"Bucket": shared, "Key": "ours/x"}
    may = allow("s3:GetObject", "arn:aws:s3:::shared/*")
    able, unable = stranger(other, cloud, "able", may), stranger(other, cloud, "unable")
    said = refusal(able("s3").get_object, **place)
    assert "because no resource-based policy allows the s3:GetObject action" in said
    assert "no resource-based policy" in refusal(other("s3").get_object, **place)
    account = {"AWS": f"arn:aws:iam::{OTHER}:root"}
    opened = document(principal("Allow", account, "s3:GetObject", "arn:aws:s3:::shared/ours/*"))
    client("s3").put_bucket_policy(Bucket=shared, Policy=opened)
    assert able("s3").get_object(**place)["Body"].read() == b"x"
    assert other("s3").get_object(**place)["Body"].read() == b"x"
    assert "no identity-based policy" in refusal(unable("s3").get_object, **place)
    assert "no resource-based policy" in refusal(able("s3").get_object, Bucket=shared, Key="theirs/x")


def test_a_bucket_policy_alone_lets_its_own_account_in(client: Client, as_role: AsRole, shared: str) -> None:
    nobody = as_role()
    arn = nobody("sts").get_caller_identity()["Arn"]
    opened = principal("Allow", {"AWS": arn}, "s3:GetObject", "arn:aws:s3:::shared/*")
    client("s3").put_bucket_policy(Bucket=shared, Policy=document(opened))
    nobody("s3").get_object(Bucket=shared, Key="ours/x")
    # An account that is named decides itself whom of its own it lets in.
    delegated = {**opened, "Principal": {"AWS": ACCOUNT}}
    client("s3").put_bucket_policy(Bucket=shared, Policy=document(delegated))
    assert "no identity-based policy" in refusal(nobody("s3").get_object, Bucket=shared, Key="ours/x")


def test_a_boundary_gives_way_to_the_very_statement_that_names_the_session(
    client: Client, as_role: AsRole
) -> None:
    bounded = as_role(boundary=[allow("iam:ListRoles")])
    session = bounded("sts").get_caller_identity()["Arn"]
    bucket, whole = "of-the-bounded", "arn:aws:s3:::of-the-bounded"
    client("s3").create_bucket(Bucket=bucket)
    client("s3").put_object(Bucket=bucket, Key="k", Body=b"x")
    named = principal("Allow", {"AWS": session}, "s3:ListBucket", whole)
    everybody = principal("Allow", "*", "s3:GetObject", f"{whole}/*")
    client("s3").put_bucket_policy(Bucket=bucket, Policy=document(named, everybody))
    assert bounded("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    said = refusal(bounded("s3").get_object, Bucket=bucket, Key="k")
    assert said.endswith("because no permissions boundary allows the s3:GetObject action")


def test_even_root_obeys_a_bucket_that_refuses(client: Client, shared: str) -> None:
    fixed = principal("Deny", "*", "s3:PutObject", "arn:aws:s3:::shared/fixed/*")
    client("s3").put_bucket_policy(Bucket=shared, Policy=document(fixed))
    said = refusal(client("s3").put_object, Bucket=shared, Key="fixed/a", Body=b"")
    assert said.startswith(f"User: arn:aws:iam::{ACCOUNT}:root is not authorized")
    assert said.endswith("with an explicit deny in a resource-based policy")


def test_without_tls_a_bucket_that_demands_it_refuses(cloud: CloudInfo, client: Client) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="tls-only")
    s3.create_bucket(Bucket="whatever")
    only_tls = principal(
        "Deny", "*", "s3:*", ["arn:aws:s3:::tls-only", "arn:aws:s3:::tls-only/*"],
        Condition={"Bool": {"aws:SecureTransport": "false"}},
    )  # fmt: skip
    s3.put_bucket_policy(Bucket="tls-only", Policy=document(only_tls))
    s3.put_object(Bucket="tls-only", Key="a", Body=b"x")
    plain = clients(CloudInfo(**{**cloud.__dict__, "endpoint_url": cloud.insecure_url}))("s3")
    assert "explicit deny in a resource-based policy" in refusal(plain.get_object, Bucket="tls-only", Key="a")
    refusal(plain.list_objects_v2, Bucket="tls-only")
    plain.put_object(Bucket="whatever", Key="a", Body=b"x")


def test_a_key_obeys_its_policy_whatever_its_accounts_roles_may(
    cloud: CloudInfo, client: Client, other: Client, as_role: AsRole
) -> None:
    key = client("kms").create_key()["KeyMetadata"]
    may = allow("kms:*", key["Arn"])
    able, theirs = as_role(may)("kms"), stranger(other, cloud, "decrypter", may)("kms")
    able.encrypt(KeyId=key["Arn"], Plaintext=b"x")
    assert "no resource-based policy" in refusal(theirs.encrypt, KeyId=key["Arn"], Plaintext=b"x")
    statements = [
        principal("Allow", {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "kms:PutKeyPolicy", "*"),
        principal("Allow", {"AWS": OTHER}, "kms:Encrypt", "*"),
    ]
    client("kms").put_key_policy(KeyId=key["KeyId"], PolicyName="default", Policy=document(*statements))
    assert "no resource-based policy" in refusal(able.encrypt, KeyId=key["Arn"], Plaintext=b"x")
    theirs.encrypt(KeyId=key["Arn"], Plaintext=b"x")


def test_a_repository_lets_another_account_pull(cloud: CloudInfo, client: Client, other: Client) -> None:
    made = client("ecr").create_repository(repositoryName="images")["repository"]
    puller = stranger(other, cloud, "puller", allow("ecr:*"))("ecr")
    asked = {"registryId": ACCOUNT, "repositoryName": "images", "imageIds": [{"imageTag": "1"}]}
    assert "no resource-based policy" in refusal(puller.batch_get_image, **asked)
    opened = {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": "ecr:BatchGetImage"}
    client("ecr").set_repository_policy(repositoryName="images", policyText=document(opened))
    assert puller.batch_get_image(**asked)["failures"]
    assert made["repositoryArn"].endswith("repository/images")


def test_anybody_reads_what_is_open_to_everybody(cloud: CloudInfo, client: Client, shared: str) -> None:
    import urllib3

    url = f"{cloud.endpoint_url}/shared/ours/x"
    client("s3").delete_bucket_policy(Bucket=shared)
    assert urllib3.request("GET", url, retries=False).status == 403
    everybody = principal("Allow", "*", "s3:GetObject", "arn:aws:s3:::shared/ours/*")
    client("s3").put_bucket_policy(Bucket=shared, Policy=document(everybody))
    assert urllib3.request("GET", url, retries=False).data == b"x"
    assert urllib3.request("PUT", url, body=b"y", retries=False).status == 403


def test_a_stranger_in_a_bucket_policy_is_not_the_service(
    client: Client, as_role: AsRole, shared: str
) -> None:
    service = principal("Allow", {"Service": "sagemaker.amazonaws.com"}, "s3:*", "arn:aws:s3:::shared/*")
    client("s3").put_bucket_policy(Bucket=shared, Policy=document(service))
    refusal(as_role()("s3").get_object, Bucket=shared, Key="ours/x")


def test_policies_are_stored_as_they_were_given(client: Client, shared: str) -> None:
    policy = document(principal("Allow", "*", "s3:GetObject", "arn:aws:s3:::shared/ours/*"))
    client("s3").put_bucket_policy(Bucket=shared, Policy=policy)
    assert json.loads(client("s3").get_bucket_policy(Bucket=shared)["Policy"]) == json.loads(policy)
