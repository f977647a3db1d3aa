"""Function URLs over plain HTTP."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.clients import clients, person

ECHO = "def handler(event, context):\n    return event\n"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    url: str, body: bytes | None = None, headers: dict[str, str] | None = None, method: str | None = None
) -> Reply:
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return Reply(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.headers, error.read())


def signed(url: str, *keys: str) -> dict[str, str]:
    """The headers of a request to a function's URL, root's unless there are keys."""
    request = AWSRequest("GET", url)
    SigV4Auth(Credentials(*(keys or ("local", "local"))), "lambda", "us-east-1").add_auth(request)
    return dict(request.headers.items())


def open_url(aws: Any, name: str) -> None:
    aws.functions.add_permission(
        FunctionName=name, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*",
        FunctionUrlAuthType="NONE",
    )  # fmt: skip


def open_function(aws: Any, name: str) -> None:
    aws.functions.add_permission(
        FunctionName=name, StatementId="function", Action="lambda:InvokeFunction", Principal="*",
        InvokedViaFunctionUrl=True,
    )  # fmt: skip


@pytest.fixture
def publish(aws: Any) -> Callable[..., str]:
    """Deploys a function with a URL that everybody may call; returns the URL."""

    def deploy(source: str, auth: str = "NONE", public: bool = True, **options: Any) -> str:
        name = aws.deploy(source, **options)
        if public:
            open_url(aws, name)
            open_function(aws, name)
        url: str = aws.functions.create_function_url_config(FunctionName=name, AuthType=auth)["FunctionUrl"]
        return url

    return deploy


def test_a_request_arrives_as_an_event_in_format_2(aws: Any, publish: Callable[..., str]) -> None:
    url = publish(ECHO)
    headers = {"X-Mine": "1", "Content-Type": "application/json", "Cookie": "a=1; b=2", "User-Agent": "me"}
    event = ask(f"{url}dogs/12?x=1&x=2&y=%20", b'{"n": 1}', headers, "PUT").json
    context = event.pop("requestContext")
    assert context["http"] == {
        "method": "PUT",
        "path": "/dogs/12",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "me",
    }
    assert context["accountId"] == "anonymous"
    assert context["domainPrefix"] == context["apiId"]
    assert event["headers"]["x-mine"] == "1"
    del event["headers"]
    assert event == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/dogs/12",
        "rawQueryString": "x=1&x=2&y=%20",
        "queryStringParameters": {"x": "1,2", "y": " "},
        "cookies": ["a=1", "b=2"],
        "body": '{"n": 1}',
        "isBase64Encoded": False,
    }


@pytest.mark.parametrize(
    ("content_type", "binary"),
    [
        ("text/plain; charset=utf-8", False),
        ("application/json", False),
        ("application/problem+json", False),
        ("image/jpeg", True),
        ("application/x-www-form-urlencoded", True),
    ],
)
def test_a_body_that_is_no_text_is_base64(
    aws: Any, publish: Callable[..., str], content_type: str, binary: bool
) -> None:
    event = ask(publish(ECHO), b"1", {"Content-Type": content_type}).json
    assert event["isBase64Encoded"] is binary
    assert event["body"] == (base64.b64encode(b"1").decode() if binary else "1")


def test_bytes_that_are_no_utf8_are_base64_whatever_they_claim(aws: Any, publish: Callable[..., str]) -> None:
    event = ask(publish(ECHO), b"\xff\xfe", {"Content-Type": "text/plain"}).json
    assert base64.b64decode(event["body"]) == b"\xff\xfe"


def test_the_function_sets_status_headers_cookies_and_bytes(aws: Any, publish: Callable[..., str]) -> None:
    source = (
        "import base64\ndef handler(event, context):\n"
        "    return {'statusCode': 418, 'headers': {'content-type': 'image/png', 'x-mine': 'yes'},\n"
        "        'cookies': ['a=1', 'b=2'], 'isBase64Encoded': True,\n"
        "        'body': base64.b64encode(bytes(range(256))).decode()}\n"
    )
    reply = ask(publish(source))
    assert reply.status == 418
    assert reply.headers["Content-Type"] == "image/png"
    assert reply.headers["X-Mine"] == "yes"
    assert reply.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert reply.body == bytes(range(256))


def test_an_answer_without_status_is_sent_as_json(aws: Any, publish: Callable[..., str]) -> None:
    reply = ask(publish("def handler(event, context):\n    return [56]\n"))
    assert (reply.status, reply.headers["Content-Type"], reply.body) == (200, "application/json", b"[56]")


@pytest.mark.parametrize(
    "body",
    [
        "raise ValueError('secret')",
        "return {'statusCode': 'no'}",
        "return {'statusCode': 200, 'headers': {'a': 'b\\r\\nc: d'}}",
        "return {'statusCode': 200, 'body': '!', 'isBase64Encoded': True}",
    ],
)
def test_an_error_of_the_function_is_502_and_tells_nothing(
    aws: Any, publish: Callable[..., str], body: str
) -> None:
    reply = ask(publish(f"def handler(event, context):\n    {body}\n"))
    assert (reply.status, reply.json) == (502, {"Message": "Internal Server Error"})


def test_with_iam_an_unsigned_request_is_forbidden(aws: Any, publish: Callable[..., str]) -> None:
    url = publish(ECHO, auth="AWS_IAM", public=False)
    reply = ask(url)
    assert (reply.status, reply.json) == (403, {"Message": "Forbidden"})
    assert reply.headers["x-amzn-ErrorType"] == "AccessDeniedException"
    event = ask(url, headers=signed(url)).json
    assert event["requestContext"]["authorizer"]["iam"]["accessKey"] == "local"
    assert event["requestContext"]["accountId"] == "123456789012"


def test_with_iam_a_role_needs_the_right_to_this_url(aws: Any, publish: Callable[..., str]) -> None:
    url = publish(ECHO, auth="AWS_IAM", public=False)
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:{aws.made[-1]}"
    iam = clients(aws.info)("iam")
    sts = person(aws.info, clients(aws.info))("sts")
    trust = {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName="url", AssumeRolePolicyDocument=json.dumps({"Statement": trust}))["Role"]
    given = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="caller")["Credentials"]
    keys = (given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    both, via_url = ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"], "lambda:InvokedViaFunctionUrl"
    for actions, resource, status in (
        (both, f"{arn}-2", 403),
        (both[:1], arn, 403),
        (both[1:], arn, 403),
        (both, arn, 200),
    ):
        rights = [{"Effect": "Allow", "Action": action, "Resource": resource} for action in actions]
        if actions == both:
            rights[1]["Condition"] = {"Bool": {via_url: "true"}}
        policy = json.dumps({"Version": "2012-10-17", "Statement": rights})
        iam.put_role_policy(RoleName="url", PolicyName="p", PolicyDocument=policy)
        assert ask(url, headers=signed(url, *keys)).status == status
    directly = clients(aws.info, key=keys[0], secret=keys[1], token=keys[2])("lambda")
    with pytest.raises(ClientError, match="is not authorized to perform: lambda:InvokeFunction"):
        directly.invoke(FunctionName=aws.made[-1])


def test_a_public_url_needs_both_permissions_too(aws: Any, publish: Callable[..., str]) -> None:
    url = publish(ECHO, public=False)
    assert ask(url).status == 403
    open_url(aws, aws.made[-1])
    assert ask(url).status == 403
    open_function(aws, aws.made[-1])
    assert ask(url).status == 200
    condition = json.loads(aws.functions.get_policy(FunctionName=aws.made[-1])["Policy"])["Statement"][1]
    assert condition["Condition"] == {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}


def test_a_throttled_url_answers_429(aws: Any, publish: Callable[..., str]) -> None:
    url = publish(ECHO)
    name = aws.made[-1]
    aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    reply = ask(url)
    assert reply.status == 429
    assert reply.json["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


def test_a_body_over_six_megabytes_is_413(aws: Any, publish: Callable[..., str]) -> None:
    reply = ask(publish(ECHO), b"x" * 6_291_456, {"Content-Type": "text/plain"})
    assert reply.status == 413


def test_an_unknown_or_deleted_url_is_forbidden(aws: Any, publish: Callable[..., str]) -> None:
    url = publish(ECHO)
    assert ask(url).status == 200
    aws.functions.delete_function(FunctionName=aws.made[-1])
    assert ask(url).status == 403


def test_the_host_form_leads_there_too(aws: Any, publish: Callable[..., str]) -> None:
    url = publish(ECHO)
    url_id = url.rstrip("/").rsplit("/", 1)[1]
    host = f"{url_id}.lambda-url.us-east-1.localhost"
    assert ask(f"{aws.info.endpoint_url}/a", headers={"Host": host}).json["rawPath"] == "/a"


def test_a_url_of_an_alias_runs_its_version_and_is_managed_apart(aws: Any) -> None:
    name = aws.deploy("def handler(event, context):\n    return context.function_version\n", Publish=True)
    aws.functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    made = aws.functions.create_function_url_config(FunctionName=name, Qualifier="live", AuthType="AWS_IAM")
    assert made["FunctionArn"].endswith(f":{name}:live")
    assert ask(made["FunctionUrl"], headers=signed(made["FunctionUrl"])).json == "1"
    read = aws.functions.get_function_url_config(FunctionName=name, Qualifier="live")
    assert (read["FunctionUrl"], read["AuthType"], read["InvokeMode"]) == (
        made["FunctionUrl"],
        "AWS_IAM",
        "BUFFERED",
    )
    with pytest.raises(ClientError, match="The resource you requested does not exist"):
        aws.functions.get_function_url_config(FunctionName=name)
    urls = aws.functions.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]
    assert [url["FunctionUrl"] for url in urls] == [made["FunctionUrl"]]
    aws.functions.delete_function_url_config(FunctionName=name, Qualifier="live")
    assert ask(made["FunctionUrl"], headers=signed(made["FunctionUrl"])).status == 403


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"InvokeMode": "RESPONSE_STREAM"}, "InvokeMode RESPONSE_STREAM"),
        ({"Cors": {"AllowOrigins": ["*"]}}, "Cors"),
    ],
)
def test_what_a_url_cannot_do_here_is_named(aws: Any, options: dict[str, Any], named: str) -> None:
    with pytest.raises(ClientError, match=f"does not implement {named}"):
        aws.functions.create_function_url_config(FunctionName=aws.deploy(ECHO), AuthType="NONE", **options)


def test_what_belongs_to_an_alias_goes_with_it(aws: Any) -> None:
    name = aws.deploy("def handler(event, context):\n    return 1\n", Publish=True)
    aws.functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    url = aws.functions.create_function_url_config(FunctionName=name, Qualifier="live", AuthType="AWS_IAM")
    aws.functions.put_function_event_invoke_config(
        FunctionName=name, Qualifier="live", MaximumRetryAttempts=0
    )
    assert ask(url["FunctionUrl"], headers=signed(url["FunctionUrl"])).json == 1
    aws.functions.delete_alias(FunctionName=name, Name="live")
    assert ask(url["FunctionUrl"], headers=signed(url["FunctionUrl"])).status == 403
    assert aws.functions.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"] == []
    events = aws.functions.list_function_event_invoke_configs(FunctionName=name)
    assert events["FunctionEventInvokeConfigs"] == []
