"""Sessions: who may take a role on, for how long, and what they may then do."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from localcloud.control import CloudInfo
from tests.clients import clients, person
from tests.localcloud.authorization.conftest import (
    ACCOUNT,
    OTHER,
    AsRole,
    Client,
    allow,
    connected,
    deny,
    document,
    grant,
    trust,
)
from tests.localcloud.functions.conftest import package


def code(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def role(iam: Any, name: str, policy: str, **more: Any) -> str:
    return str(iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy, **more)["Role"]["Arn"])


def test_everybody_learns_who_they_are(
    cloud: CloudInfo, client: Client, other: Client, as_role: AsRole
) -> None:
    root = client("sts").get_caller_identity()
    assert (root["Arn"], root["UserId"]) == (f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
    assert other("sts").get_caller_identity()["Account"] == OTHER
    told = as_role({"Effect": "Deny", "Action": "*", "Resource": "*"})("sts").get_caller_identity()
    assert told["Arn"].startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/actor-")
    assert told["UserId"].startswith("AROA")
    assert told["UserId"].endswith(":tester")


def test_a_role_is_taken_on_by_whom_it_trusts_and_who_may(
    cloud: CloudInfo, client: Client, as_role: AsRole
) -> None:
    trusting = role(client("iam"), "trusting", trust({"AWS": ACCOUNT}))
    closed = role(client("iam"), "closed", trust({"Service": "lambda.amazonaws.com"}))
    named = as_role()
    arn = named("sts").get_caller_identity()["Arn"].replace(":sts:", ":iam:").replace("assumed-role", "role")
    naming = role(client("iam"), "naming", trust({"AWS": arn.rpartition("/")[0]}))
    able = as_role(allow("sts:AssumeRole", trusting))
    session = {"RoleSessionName": "session"}
    made = able("sts").assume_role(RoleArn=trusting, **session)
    assert made["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/trusting/session"
    chained = connected(cloud, made)
    assert chained("sts").get_caller_identity()["Arn"] == made["AssumedRoleUser"]["Arn"]
    told, said = code(named("sts").assume_role, RoleArn=trusting, **session)
    assert told == "AccessDenied"
    assert said.endswith(f"is not authorized to perform: sts:AssumeRole on resource: {trusting}")
    named("sts").assume_role(RoleArn=naming, **session)  # its own account's role may name it: that is enough
    wide = as_role(allow("*"))
    assert code(wide("sts").assume_role, RoleArn=closed, **session)[0] == "AccessDenied"
    assert code(wide("sts").assume_role, RoleArn=f"{closed}-2", **session)[0] == "AccessDenied"
    too_long = code(chained("sts").assume_role, RoleArn=naming, DurationSeconds=7200, **session)
    assert too_long[0] == "AccessDenied"


def test_another_accounts_role_takes_both_sides(
    cloud: CloudInfo, client: Client, other: Client, as_role: AsRole
) -> None:
    condition = {"StringEquals": {"sts:ExternalId": "secret"}}
    theirs = role(other("iam"), "theirs", trust({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, Condition=condition))
    other("iam").put_role_policy(RoleName="theirs", PolicyName="p", PolicyDocument=document(allow("s3:*")))
    able, unable = as_role(allow("sts:AssumeRole", theirs))("sts"), as_role()("sts")
    asked = {"RoleArn": theirs, "RoleSessionName": "visitor"}
    assert code(able.assume_role, **asked)[0] == "AccessDenied"
    assert code(able.assume_role, ExternalId="wrong", **asked)[0] == "AccessDenied"
    assert code(unable.assume_role, ExternalId="secret", **asked)[0] == "AccessDenied"
    visitor = connected(cloud, able.assume_role(ExternalId="secret", **asked))
    assert visitor("sts").get_caller_identity()["Account"] == OTHER
    visitor("s3").create_bucket(Bucket="of-the-other-account")
    assert "of-the-other-account" not in [one["Name"] for one in client("s3").list_buckets()["Buckets"]]


def test_a_right_for_roles_below_a_path_is_none_for_others_of_the_name(
    client: Client, as_role: AsRole
) -> None:
    role(client("iam"), "administrator", trust({"AWS": ACCOUNT, "Service": "lambda.amazonaws.com"}))
    below = f"arn:aws:iam::{ACCOUNT}:role/ci/"
    caller = as_role(allow(["sts:AssumeRole", "iam:PassRole", "lambda:*"], [f"{below}*", "arn:aws:lambda:*"]))
    told = code(caller("sts").assume_role, RoleArn=f"{below}administrator", RoleSessionName="me")
    assert told[0] == "AccessDenied"
    function = {
        "FunctionName": "f",
        "Runtime": "python3.12",
        "Handler": "a.b",
        "Code": {"ZipFile": package("")},
    }
    _, said = code(caller("lambda").create_function, Role=f"{below}administrator", **function)
    assert "cannot be assumed by Lambda" in said


def test_a_policy_that_is_none_narrows_no_session(cloud: CloudInfo, client: Client) -> None:
    arn = role(client("iam"), "narrowed", trust({"AWS": ACCOUNT}))
    sts = person(cloud, client)("sts")
    for policy in ("[1]", '"x"', "{", '{"Statement": [{}]}', '{"Statement": "x"}'):
        told = code(sts.assume_role, RoleArn=arn, RoleSessionName="me", Policy=policy)
        assert told[0] == "MalformedPolicyDocument", policy


def test_a_session_ends_with_its_role_and_not_with_the_name(cloud: CloudInfo, client: Client) -> None:
    iam, rights = client("iam"), document(allow("iam:ListRoles"))
    sts = person(cloud, client)("sts")
    arn = role(iam, "made-anew", trust({"AWS": ACCOUNT}))
    iam.put_role_policy(RoleName="made-anew", PolicyName="p", PolicyDocument=rights)
    old = connected(cloud, sts.assume_role(RoleArn=arn, RoleSessionName="me"))
    old("iam").list_roles()
    iam.delete_role_policy(RoleName="made-anew", PolicyName="p")
    iam.delete_role(RoleName="made-anew")
    role(iam, "made-anew", trust({"AWS": ACCOUNT}))
    iam.put_role_policy(RoleName="made-anew", PolicyName="p", PolicyDocument=rights)
    assert code(old("iam").list_roles)[0] == "AccessDenied"


def test_a_sessions_name_for_its_source_takes_its_own_right(cloud: CloudInfo, client: Client) -> None:
    arn = role(client("iam"), "sourceless", trust({"AWS": ACCOUNT}))
    asked = {"RoleArn": arn, "RoleSessionName": "me", "SourceIdentity": "somebody"}
    assert code(person(cloud, client)("sts").assume_role, **asked)[0] == "AccessDenied"


def test_sessions_that_were_given_out_can_be_taken_back(as_role: AsRole, client: Client) -> None:
    session = as_role(allow("iam:ListRoles"))
    session("iam").list_roles()
    condition = {"DateLessThan": {"aws:TokenIssueTime": "2200-01-01T00:00:00Z"}}
    grant(client, session, allow("iam:ListRoles"), deny("*", Condition=condition))
    assert code(session("iam").list_roles)[0] == "AccessDenied"


def test_root_takes_on_no_role(client: Client) -> None:
    arn = role(client("iam"), "open", trust({"AWS": ACCOUNT}))
    told = code(client("sts").assume_role, RoleArn=arn, RoleSessionName="root")
    assert told == ("AccessDenied", "Roles may not be assumed by root accounts.")


def test_sessions_last_as_long_as_the_role_says(cloud: CloudInfo, client: Client) -> None:
    sts = person(cloud, client)("sts")
    arn = role(client("iam"), "short", trust({"AWS": ACCOUNT}), MaxSessionDuration=3600)
    told, said = code(sts.assume_role, RoleArn=arn, RoleSessionName="long", DurationSeconds=7200)
    assert (told, "MaxSessionDuration" in said) == ("ValidationError", True)
    assert code(sts.assume_role, RoleArn=arn, RoleSessionName="no blanks")[0] == "ValidationError"


def test_tags_of_a_session_take_their_own_right(cloud: CloudInfo, client: Client) -> None:
    tags = [{"Key": "Team", "Value": "dogs"}]
    sts = person(cloud, client)("sts")
    plain = role(client("iam"), "untaggable", trust({"AWS": ACCOUNT}))
    assert code(sts.assume_role, RoleArn=plain, RoleSessionName="me", Tags=tags)[0] == "AccessDenied"
    arn = role(client("iam"), "taggable", trust({"AWS": ACCOUNT}, ["sts:AssumeRole", "sts:TagSession"]))
    theirs = allow("s3:ListAllMyBuckets", Condition={"StringEquals": {"aws:PrincipalTag/Team": "dogs"}})
    client("iam").put_role_policy(RoleName="taggable", PolicyName="p", PolicyDocument=document(theirs))
    tagged = connected(cloud, sts.assume_role(RoleArn=arn, RoleSessionName="me", Tags=tags))
    tagged("s3").list_buckets()
    untagged = connected(cloud, sts.assume_role(RoleArn=arn, RoleSessionName="me"))
    assert code(untagged("s3").list_buckets)[0] == "AccessDenied"


def test_a_user_gets_a_session_of_its_own(cloud: CloudInfo, client: Client) -> None:
    iam = client("iam")
    iam.create_user(UserName="person")
    iam.create_group(GroupName="people")
    iam.add_user_to_group(UserName="person", GroupName="people")
    iam.put_group_policy(
        GroupName="people", PolicyName="p", PolicyDocument=document(allow("s3:ListAllMyBuckets"))
    )
    key = iam.create_access_key(UserName="person")["AccessKey"]
    person = clients(cloud, key=key["AccessKeyId"], secret=key["SecretAccessKey"])
    session = connected(cloud, person("sts").get_session_token())
    assert session("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/person"
    session("s3").list_buckets()
    assert code(session("iam").list_roles)[0] == "AccessDenied"
    assert code(session("sts").get_session_token)[0] == "AccessDenied"


# -- web identity

REPOSITORY = "repo:kennel/kennel:ref:refs/heads/main"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(issuer: str, key: rsa.RSAPrivateKey | None = None, **claims: Any) -> str:
    body = {"iss": issuer, "sub": REPOSITORY, "aud": "sts.amazonaws.com", "exp": time.time() + 300, **claims}
    head = encoded(json.dumps({"alg": "RS256", "kid": "1"}).encode())
    text = f"{head}.{encoded(json.dumps(body).encode())}"
    signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()) if key else b"none"
    return f"{text}.{encoded(signature)}"


def federated(client: Client, name: str, issuer: str) -> str:
    """A role for the main branch's workflow."""
    provider = client("iam").create_open_id_connect_provider(
        Url=issuer, ClientIDList=["sts.amazonaws.com"], ThumbprintList=["0" * 40]
    )["OpenIDConnectProviderArn"]
    host = issuer.split("://")[1]
    condition = {
        "StringEquals": {f"{host}:aud": "sts.amazonaws.com"},
        "StringLike": {f"{host}:sub": REPOSITORY},
    }
    policy = trust({"Federated": provider}, "sts:AssumeRoleWithWebIdentity", Condition=condition)
    return role(client("iam"), name, policy)


def test_a_workflows_token_opens_the_role_that_trusts_its_branch(cloud: CloudInfo, client: Client) -> None:
    issuer = "https://token.actions.githubusercontent.com"
    arn = federated(client, "workflow", issuer)
    sts = clients(cloud, signature_version=UNSIGNED)("sts")
    asked = {"RoleArn": arn, "RoleSessionName": "run-1"}

    def answer(text: str) -> tuple[str, str]:
        return code(sts.assume_role_with_web_identity, WebIdentityToken=text, **asked)

    made = sts.assume_role_with_web_identity(WebIdentityToken=token(issuer), **asked)
    assert made["SubjectFromWebIdentityToken"] == REPOSITORY
    assert connected(cloud, made)("sts").get_caller_identity()["Arn"].endswith("assumed-role/workflow/run-1")
    assert answer(token(issuer, sub="repo:kennel/kennel:pull_request")) == (
        "AccessDenied",
        "Not authorized to perform sts:AssumeRoleWithWebIdentity",
    )
    assert answer(token(issuer, aud="another"))[0] == "InvalidIdentityToken"
    assert answer(token("https://gitlab.com"))[0] == "InvalidIdentityToken"
    assert answer(token(issuer, exp=time.time() - 1))[0] == "ExpiredTokenException"
    assert answer("no token at all")[0] == "InvalidIdentityToken"


@pytest.fixture
def issuer() -> Iterator[tuple[str, rsa.RSAPrivateKey]]:
    """One on this machine, whose keys can be had."""
    key = rsa.generate_private_key(65537, 2048)
    numbers = key.public_key().public_numbers()
    jwk = {
        name: encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))
        for name, value in (("n", numbers.n), ("e", numbers.e))
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = f"http://{self.headers['Host']}"
            answer = (
                {"jwks_uri": f"{url}/keys"} if "well-known" in self.path else {"keys": [{"kid": "1", **jwk}]}
            )
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", key
        server.shutdown()


def test_a_token_of_an_issuer_on_this_machine_must_be_signed(
    cloud: CloudInfo, client: Client, issuer: tuple[str, rsa.RSAPrivateKey]
) -> None:
    url, key = issuer
    arn = federated(client, "verified", url)
    sts = clients(cloud, signature_version=UNSIGNED)("sts")
    asked = {"RoleArn": arn, "RoleSessionName": "run-1"}
    sts.assume_role_with_web_identity(WebIdentityToken=token(url, key), **asked)
    for forged in (token(url), token(url, rsa.generate_private_key(65537, 2048))):
        told, said = code(sts.assume_role_with_web_identity, WebIdentityToken=forged, **asked)
        assert (told, "signature" in said) == ("InvalidIdentityToken", True)
    bare = token(url.removeprefix("http://"))
    told, said = code(sts.assume_role_with_web_identity, WebIdentityToken=bare, **asked)
    assert (told, "verification key" in said) == ("InvalidIdentityToken", True)
