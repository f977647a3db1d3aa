"""Function URLs: HTTP requests become events in format 2.0, and what the function returns becomes the answer.

https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html

A URL is served at <cloud>/_lambda-url/<id>/, which is what GetFunctionUrlConfig answers because it needs no DNS
(Terraform, which looks for it in the host name, then shows a url_id of "127"), and for requests whose Host is
<id>.lambda-url.<region>.localhost. With AuthType AWS_IAM a request must be signed for the service lambda by
somebody who may lambda:InvokeFunctionUrl and, as AWS asks of URLs made since October 2025, lambda:InvokeFunction, which
lambda:InvokedViaFunctionUrl can limit to the URL. With NONE the function's policy must let everybody do both.
"""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from moto.awslambda.exceptions import LambdaClientError

from localcloud.authorization.asks import Ask
from localcloud.authorization.callers import Caller
from localcloud.authorization.middleware import CALLER, may
from localcloud.functions.errors import (
    InvalidParameterValue,
    NotImplementedHere,
    Throttled,
    TooLarge,
)
from localcloud.functions.settings import SYNC_PAYLOAD_BYTES

WSGI = Callable[[dict[str, Any], Any], Iterable[bytes]]

_PATH = re.compile(r"^/_lambda-url/(?P<id>[0-9a-z]+)(?P<path>/.*)?$")
_HOST = re.compile(r"^(?P<id>[0-9a-z]+)\.lambda-url\.[0-9a-z-]+\.(localhost|on\.aws)(:\d+)?$")
_TEXT = re.compile(r"^(text/.*|application/(json|xml|javascript|.*\+json|.*\+xml))$")


@dataclass
class UrlConfig:
    arn: str  # of the function, with the qualifier
    qualifier: str | None
    endpoint_url: str  # of the cloud
    config: dict[str, Any]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: str = field(default_factory=lambda: _now())
    modified: str = field(default_factory=lambda: _now())

    def __post_init__(self) -> None:
        self._check(self.config)

    def update(self, config: dict[str, Any]) -> None:
        self._check({**self.config, **config})
        self.config = {**self.config, **config}
        self.modified = _now()

    @property
    def iam(self) -> bool:
        return self.config.get("AuthType") == "AWS_IAM"

    def describe(self) -> dict[str, Any]:
        return {
            "FunctionUrl": f"{self.endpoint_url}/_lambda-url/{self.id}/",
            "FunctionArn": self.arn,
            "AuthType": self.config["AuthType"],
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            "InvokeMode": "BUFFERED",
        }

    @staticmethod
    def _check(config: dict[str, Any]) -> None:
        if config.get("AuthType") not in ("NONE", "AWS_IAM"):
            raise InvalidParameterValue(f"AuthType must be NONE or AWS_IAM, not {config.get('AuthType')}.")
        if config.get("InvokeMode", "BUFFERED") != "BUFFERED":
            raise NotImplementedHere("The embedded cloud does not implement InvokeMode RESPONSE_STREAM.")
        if any((config.get("Cors") or {}).values()):
            raise NotImplementedHere("The embedded cloud does not implement Cors of a function URL.")


def serve_urls(app: WSGI, backends: Callable[[], Iterable[Any]]) -> WSGI:
    """`app`, with requests for function URLs answered before it sees them. `backends`: one an account and region."""

    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        found = _PATH.match(environ.get("PATH_INFO", "")) or _HOST.match(environ.get("HTTP_HOST", ""))
        if found is None:
            return app(environ, start_response)
        path = found.groupdict().get("path", environ.get("PATH_INFO")) or "/"
        status, headers, body = _answer(environ, found["id"], path, backends())
        headers["Content-Length"] = str(len(body))
        lines = [(name, value) for name, value in headers.items() if name != "Set-Cookie"]
        lines += [("Set-Cookie", cookie) for cookie in headers.get("Set-Cookie", "").split("\n") if cookie]
        phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
        start_response(f"{status} {phrase}", lines)
        return [body]

    return serve


def _answer(
    environ: dict[str, Any], url_id: str, path: str, backends: Iterable[Any]
) -> tuple[int, dict[str, str], bytes]:
    for backend in backends:
        found = backend.find_url(url_id)
        if found is not None:
            name, url = found
            break
    else:
        return _refusal(403, "Forbidden", "AccessDeniedException")
    caller: Caller | None = environ.get(CALLER)
    access_key = caller.signature.key if caller is not None and caller.signature is not None else None
    if not (_may(environ, url) if url.iam else _is_public(backend.get_function(name))):
        return _refusal(403, "Forbidden", "AccessDeniedException")
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    request_id = str(uuid.uuid4())
    event = _event(environ, url, path, body, request_id, backend.account_id, access_key if url.iam else None)
    try:
        outcome = backend.run(name, url.qualifier, json.dumps(event).encode())
    except Throttled as throttled:
        return 429, {"Content-Type": "application/json"}, throttled.description.encode()
    except TooLarge:
        return _refusal(
            413, f"Request must be smaller than {SYNC_PAYLOAD_BYTES} bytes for the InvokeFunction operation"
        )
    except LambdaClientError as error:  # ours and moto's own
        return _refusal(int(error.code), error.message)
    if outcome.failed:
        return _refusal(502, "Internal Server Error")
    try:
        return _response(outcome.payload)
    except (ValueError, TypeError, AttributeError):  # not in the documented form
        return _refusal(502, "Internal Server Error")


def _event(
    environ: dict[str, Any],
    url: UrlConfig,
    path: str,
    body: bytes,
    request_id: str,
    account_id: str,
    access_key: str | None,
) -> dict[str, Any]:
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") and isinstance(value, str)
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    cookies = [part.strip() for part in headers.pop("cookie", "").split(";") if part.strip()]
    query: dict[str, str] = {}
    for name, value in parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True):
        query[name] = f"{query[name]},{value}" if name in query else value
    domain = f"{url.id}.lambda-url.{url.arn.split(':')[3]}.on.aws"
    now = time.time()
    context: dict[str, Any] = {
        "accountId": account_id if access_key else "anonymous",
        "apiId": url.id,
        "domainName": domain,
        "domainPrefix": url.id,
        "http": {
            "method": environ["REQUEST_METHOD"],
            "path": path,
            "protocol": environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
            "sourceIp": environ.get("REMOTE_ADDR", "127.0.0.1"),
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": request_id,
        "routeKey": "$default",
        "stage": "$default",
        "time": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now * 1000),
    }
    if access_key:
        context["authorizer"] = {"iam": {"accessKey": access_key, "accountId": account_id}}
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": environ.get("QUERY_STRING", ""),
        "headers": headers,
        "requestContext": context,
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if query:
        event["queryStringParameters"] = query
    if body:
        binary = not _TEXT.match(headers.get("content-type", "").partition(";")[0].strip().lower())
        try:
            event["body"] = base64.b64encode(body).decode() if binary else body.decode()
        except UnicodeDecodeError:
            binary, event["body"] = True, base64.b64encode(body).decode()
        event["isBase64Encoded"] = binary
    return event


def _response(payload: bytes) -> tuple[int, dict[str, str], bytes]:
    """Raises where the function's answer is none that AWS would accept."""
    document = json.loads(payload)
    if not isinstance(document, dict) or "statusCode" not in document:
        return 200, {"Content-Type": "application/json"}, payload
    status = int(document["statusCode"])
    if not 100 <= status <= 599:
        raise ValueError(status)
    headers = {"Content-Type": "application/json"}
    for name, value in (document.get("headers") or {}).items():
        headers[name.title()] = _header(value)
    if document.get("cookies"):
        headers["Set-Cookie"] = "\n".join(_header(cookie) for cookie in document["cookies"])
    body = document.get("body", "")
    text = body if isinstance(body, str) else json.dumps(body)
    if document.get("isBase64Encoded"):
        return status, headers, base64.b64decode(text, validate=True)
    return status, headers, text.encode()


def _header(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    if "\r" in text or "\n" in text:
        raise ValueError("a header cannot hold a line break")
    return text


def _may(environ: dict[str, Any], url: UrlConfig) -> bool:
    caller: Caller | None = environ.get(CALLER)
    if caller is None or caller.signature is None or caller.signature.service != "lambda":
        return False
    of_url = {"lambda:functionurlauthtype": ["AWS_IAM"], "lambda:functionarn": [url.arn]}
    via_url = {"lambda:invokedviafunctionurl": ["true"]}
    return may(environ, Ask("lambda:InvokeFunctionUrl", url.arn, of_url)) and may(
        environ, Ask("lambda:InvokeFunction", url.arn, via_url)
    )


def _is_public(function: Any) -> bool:
    open_to_all = set()
    for statement in function.policy.statements:
        principal = statement.get("Principal")
        if principal == "*" or (isinstance(principal, dict) and principal.get("AWS") == "*"):
            open_to_all.add(statement.get("Action"))
    return "lambda:*" in open_to_all or open_to_all >= {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}


def _refusal(status: int, message: str, error: str | None = None) -> tuple[int, dict[str, str], bytes]:
    headers = {"Content-Type": "application/json"}
    if error:
        headers["x-amzn-ErrorType"] = error
    return status, headers, json.dumps({"Message": message}).encode()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+0000")
