from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.iam.access_control import PermissionResult

from localcloud.policies import Who, evaluate

ROLE = "arn:aws:iam::123456789012:role/reader"
WHO = Who((ROLE,), "123456789012")
OBJECT = "arn:aws:s3:::photos/dog.jpg"


def statement(effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": "s3:Get*", "Resource": "arn:aws:s3:::photos/*", **more}


@pytest.mark.parametrize(
    ("change", "applies"),
    [
        ({}, True),
        ({"Action": ["s3:List*", "S3:getobject"]}, True),
        ({"Action": "s3:PutObject"}, False),
        ({"Resource": "arn:aws:s3:::photos/*.png"}, False),
        ({"Resource": "arn:aws:s3:::photo?/dog.jpg"}, True),
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Principal": {"AWS": ["123456789012"]}}, True),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}, True),
        ({"Principal": {"AWS": "arn:aws:iam::999999999999:root"}}, False),
        ({"Principal": {"Service": "sagemaker.amazonaws.com"}}, False),
        ({"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, True),
        ({"Condition": {"Bool": {"aws:SecureTransport": False}}}, False),
        ({"Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}}, False),
        ({"Condition": {"StringEquals": {"aws:RequestedRegion": ["us-east-1", "eu-west-1"]}}}, True),
        ({"Condition": {"StringNotEquals": {"aws:RequestedRegion": ["us-east-1", "eu-west-1"]}}}, False),
        ({"Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}}, False),
        ({"Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}}, True),
        ({"Condition": {"StringEqualsIfExists": {"aws:SourceVpce": "vpce-1"}}}, True),
        ({"Condition": {"Null": {"aws:SourceVpce": "true"}}}, True),
        ({"Condition": {"Null": {"aws:SourceVpce": "false"}}}, False),
        ({"Condition": {"ForAllValues:StringLike": {"aws:TagKeys": "kennel:*"}}}, True),
        ({"Condition": {"ForAnyValue:StringLike": {"aws:TagKeys": "kennel:*"}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, True),
        ({"Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, False),
    ],
)
def test_a_statement_applies_where_all_its_parts_do(change: dict[str, Any], applies: bool) -> None:
    context = {
        "aws:securetransport": ["true"],
        "s3:tlsversion": ["1.3"],
        "aws:requestedregion": ["us-east-1"],
        "aws:sourceip": ["10.1.2.3"],
    }
    result = evaluate(statement(**change), "s3:GetObject", OBJECT, WHO, context)
    assert result == (PermissionResult.PERMITTED if applies else PermissionResult.NEUTRAL)
    result = evaluate(statement("Deny", **change), "s3:GetObject", OBJECT, WHO, context)
    assert result == (PermissionResult.DENIED if applies else PermissionResult.NEUTRAL)


def test_a_bucket_that_takes_nothing_but_tls_takes_requests(client: Callable[[str], Any]) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="tls-only")
    only_tls = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::tls-only", "arn:aws:s3:::tls-only/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    read_only = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::tls-only/fixed/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [only_tls, read_only]}
    s3.put_bucket_policy(Bucket="tls-only", Policy=json.dumps(policy))
    s3.put_object(Bucket="tls-only", Key="a", Body=b"x")
    s3.create_multipart_upload(Bucket="tls-only", Key="b")
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket="tls-only", Key="fixed/a", Body=b"x")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_role_s_permissions_can_be_simulated(client: Callable[[str], Any]) -> None:
    iam = client("iam")
    trust = {"Version": "2012-10-17", "Statement": []}
    iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(trust))
    denied = statement("Deny", Action="s3:GetObjectAcl")
    policy = {"Version": "2012-10-17", "Statement": [statement(), denied]}
    iam.put_role_policy(RoleName="reader", PolicyName="read", PolicyDocument=json.dumps(policy))
    answer = iam.simulate_principal_policy(
        PolicySourceArn=ROLE,
        ActionNames=["s3:GetObject", "s3:PutObject", "s3:GetObjectAcl"],
        ResourceArns=[OBJECT],
    )
    decisions = {one["EvalActionName"]: one["EvalDecision"] for one in answer["EvaluationResults"]}
    assert decisions == {
        "s3:GetObject": "allowed",
        "s3:PutObject": "implicitDeny",
        "s3:GetObjectAcl": "explicitDeny",
    }
    assert all(one["MissingContextValues"] == [] for one in answer["EvaluationResults"])


def test_a_simulation_names_the_context_keys_it_lacks(client: Callable[[str], Any]) -> None:
    iam = client("iam")
    iam.create_role(RoleName="passer", AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}')
    pass_ = statement(
        Action="iam:PassRole", Resource="*", Condition={"StringEquals": {"iam:PassedToService": "x"}}
    )
    policy = {"Version": "2012-10-17", "Statement": [pass_]}
    iam.put_role_policy(RoleName="passer", PolicyName="pass", PolicyDocument=json.dumps(policy))
    given = {"ContextKeyName": "IAM:PassedToService", "ContextKeyValues": ["x"], "ContextKeyType": "string"}
    for entries, decision, missing in (
        ([], "implicitDeny", ["iam:PassedToService"]),
        ([given], "allowed", []),
    ):
        answer = iam.simulate_principal_policy(
            PolicySourceArn="arn:aws:iam::123456789012:role/passer",
            ActionNames=["iam:PassRole"],
            ContextEntries=entries,
        )
        (result,) = answer["EvaluationResults"]
        assert (result["EvalDecision"], result["MissingContextValues"]) == (decision, missing)


def test_a_simulation_tells_what_the_boundary_does_not_let_a_role_do(client: Callable[[str], Any]) -> None:
    iam = client("iam")

    def document(*actions: str) -> str:
        return json.dumps(
            {"Version": "2012-10-17", "Statement": [statement(Action=[*actions], Resource="*")]}
        )

    boundary = iam.create_policy(PolicyName="limits", PolicyDocument=document("s3:GetObject"))["Policy"][
        "Arn"
    ]
    role = iam.create_role(
        RoleName="bounded", AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}',
        PermissionsBoundary=boundary,
    )["Role"]["Arn"]  # fmt: skip
    both = ("s3:GetObject", "s3:PutObject")
    iam.put_role_policy(RoleName="bounded", PolicyName="p", PolicyDocument=document(*both))
    answer = iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=list(both))
    assert [
        (one["EvalDecision"], one["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"])
        for one in answer["EvaluationResults"]
    ] == [("allowed", True), ("implicitDeny", False)]


def test_the_permissions_of_a_role_that_is_not_there_cannot_be_simulated(
    client: Callable[[str], Any],
) -> None:
    with pytest.raises(ClientError, match="nobody") as caught:
        client("iam").simulate_principal_policy(
            PolicySourceArn="arn:aws:iam::123456789012:role/nobody", ActionNames=["s3:GetObject"]
        )
    assert caught.value.response["Error"]["Code"] == "NoSuchEntity"


@pytest.mark.parametrize(
    ("change", "applies"),
    [
        ({"NotPrincipal": {"AWS": ROLE}}, False),
        ({"NotPrincipal": {"AWS": "123456789012"}}, True),
        ({"NotPrincipal": {"AWS": "arn:aws:iam::123456789012:role/other"}}, True),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:role/other"}}, False),
        ({"NotAction": "s3:Put*"}, True),
        ({"NotAction": ["s3:get*"]}, False),
        ({"NotResource": "arn:aws:s3:::photos/private/*"}, True),
        ({"NotResource": "arn:aws:s3:::photos/*"}, False),
        ({"Resource": "arn:aws:s3:::photos/${aws:username}.jpg"}, True),
        ({"Resource": "arn:aws:s3:::photos/${aws:nothing}.jpg"}, False),
        ({"Resource": "arn:aws:s3:::photos/${aws:nothing, 'dog'}.jpg"}, True),
        ({"Resource": "arn:aws:s3:::photos/${*}.jpg"}, False),
        ({"Condition": {"StringEquals": {"aws:PrincipalTag/Name": "${aws:username}"}}}, True),
        ({"Condition": {"StringLike": {"aws:PrincipalTag/Star": "${aws:PrincipalTag/Star}"}}}, True),
        ({"Condition": {"StringLike": {"aws:username": "${aws:PrincipalTag/Star}"}}}, False),
        ({"Condition": {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/reader"}}}, True),
        ({"Condition": {"ArnLike": {"aws:PrincipalArn": "arn:*:reader"}}}, False),
        ({"Condition": {"DateGreaterThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}}, True),
        ({"Condition": {"DateLessThan": {"aws:CurrentTime": "2026-01-01T00:00:00+00:00"}}}, False),
        ({"Condition": {"DateGreaterThan": {"aws:CurrentTime": "1700000000"}}}, True),
        ({"Condition": {"DateLessThan": {"aws:CurrentTime": "no date"}}}, False),
        ({"Condition": {"NumericLessThan": {"s3:max-keys": "100"}}}, True),
        ({"Condition": {"NumericLessThan": {"aws:username": "100"}}}, False),
        ({"Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b", "c"]}}}, True),
        ({"Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}}}, False),
        ({"Condition": {"ForAnyValue:StringEquals": {"aws:TagKeys": ["a"]}}}, True),
        ({"Condition": {"ForAllValues:StringEquals": {"aws:none": ["a"]}}}, True),
        ({"Condition": {"ForAnyValue:StringNotEquals": {"aws:none": ["a"]}}}, False),
        ({"Condition": {"StringNotEqualsIgnoreCase": {"AWS:UserName": "DOG"}}}, False),
        ({"Condition": {"StringEquals": {"aws:empty": "a"}}}, False),
        ({"Condition": {"Null": {"aws:empty": "true"}}}, True),
        ({"Condition": {"NobodyKnows": {"aws:username": "dog"}}}, False),
    ],
)
def test_variables_exceptions_and_dates(change: dict[str, Any], applies: bool) -> None:
    context = {
        "aws:username": ["dog"],
        "aws:principaltag/name": ["dog"],
        "aws:principaltag/star": ["*"],
        "aws:principalarn": [ROLE],
        "aws:currenttime": ["2026-11-23T12:00:00Z"],
        "aws:tagkeys": ["a", "b"],
        "aws:empty": [],
        "s3:max-keys": ["50"],
    }
    given = {key: value for key, value in statement().items() if f"Not{key}" not in change}
    result = evaluate({**given, **change}, "s3:GetObject", OBJECT, WHO, context)
    assert result == (PermissionResult.PERMITTED if applies else PermissionResult.NEUTRAL)
