"""Which operation of which service a request asks for, in each of AWS's protocols and by botocore's names."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, parse_qsl
from wsgiref.types import WSGIEnvironment

from botocore.exceptions import UnknownServiceError
from botocore.model import OperationModel, ServiceModel
from botocore.session import get_session

_CLIENTS = {  # by the name that a request is signed for, where boto3 has another for its client
    "monitoring": "cloudwatch",
    "tagging": "resourcegroupstaggingapi",
    "servicequotas": "service-quotas",
}
_SIGNED = re.compile(r"Credential=[^/,]+/[^/]*/[^/]*/(?P<service>[^/]+)/aws4_request")
_INVOCATIONS = re.compile(r"/endpoints/[^/]+/(async-)?invocations")
_VIRTUAL_HOST = re.compile(r"(?P<bucket>[^:]+)\.(s3[.-][a-z0-9.-]*|localhost)(:\d+)?")


@dataclass(frozen=True)
class Call:
    service: str  # the name of boto3's client for it
    operation: str
    path: str
    body: bytes

    def concerns(self, text: str) -> bool:
        """Whether a name, key or address occurs in what is asked for."""
        return text in self.path or text.encode() in self.body


def of(environ: WSGIEnvironment) -> Call | None:
    """None where the request is signed for no service, or asks for nothing that botocore knows."""
    service = _service(environ)
    if service is None or service_model(service) is None:
        return None
    body: Any = environ["wsgi.input"]  # in memory, see http_server
    content: bytes = body.read()
    body.seek(0)
    path = environ.get("PATH_INFO", "/")
    name = _named(environ, path, content) or _by_path(service, environ, path)
    return None if name is None else Call(service, name, path, content)


@functools.cache
def service_model(service: str) -> ServiceModel | None:
    try:
        return get_session().get_service_model(service)
    except UnknownServiceError:
        return None


@functools.cache
def services() -> frozenset[str]:
    return frozenset(get_session().get_available_services())


def _service(environ: WSGIEnvironment) -> str | None:
    query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
    signed = _SIGNED.search(environ.get("HTTP_AUTHORIZATION", "")) or _SIGNED.search(
        f"Credential={query.get('X-Amz-Credential', '')}"
    )
    if signed is None:
        return None
    if signed["service"] == "sagemaker" and _INVOCATIONS.fullmatch(environ.get("PATH_INFO", "")):
        return "sagemaker-runtime"
    return _CLIENTS.get(signed["service"], signed["service"])


def _named(environ: WSGIEnvironment, path: str, body: bytes) -> str | None:
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:  # JSON
        return str(target).rsplit(".", 1)[-1]
    if "/operation/" in path:  # RPC v2 CBOR
        return path.rsplit("/", 1)[-1]
    if path == "/" and environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return parse_qs(body.decode(errors="replace")).get("Action", [None])[0]  # query, EC2
    return None


@dataclass(frozen=True)
class _Route:
    """What a request of a REST protocol must have to be this operation."""

    operation: str
    method: str
    path: re.Pattern[str]
    query: frozenset[tuple[str, str]]  # "" for any value
    headers: frozenset[str]  # WSGI's names

    @classmethod
    def of(cls, operation: OperationModel) -> _Route:
        uri, _, query = operation.http["requestUri"].partition("?")
        pattern = re.sub(r"\\\{(\w+)(\\\+)?\\\}", lambda m: ".+" if m[2] else "[^/]+", re.escape(uri))
        asked = {*parse_qsl(query, keep_blank_values=True)}
        headers = set()
        shape = operation.input_shape
        members = shape.members if shape else {}
        for name in shape.required_members if shape else ():
            where = members[name].serialization
            if where.get("location") == "querystring":
                asked.add((where["name"], ""))
            elif where.get("location") == "header":
                headers.add(f"HTTP_{where['name'].upper().replace('-', '_')}")
        method = operation.http["method"]
        return cls(
            operation.name,
            method,
            re.compile(pattern.rstrip("/") + "/?"),
            frozenset(asked),
            frozenset(headers),
        )

    def fits(self, method: str, path: str, query: dict[str, str], environ: WSGIEnvironment) -> bool:
        return (
            method == self.method
            and self.path.fullmatch(path) is not None
            and all(name in query and value in ("", query[name]) for name, value in self.query)
            and all(name in environ for name in self.headers)
        )


@functools.cache
def _routes(service: str) -> tuple[_Route, ...]:
    model = service_model(service)
    if model is None or not str(model.metadata["protocol"]).startswith("rest-"):
        return ()
    operations = (model.operation_model(name) for name in model.operation_names)
    return tuple(_Route.of(operation) for operation in operations if not operation.deprecated)


def _by_path(service: str, environ: WSGIEnvironment, path: str) -> str | None:
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    if service == "s3":
        host = _VIRTUAL_HOST.fullmatch(environ.get("HTTP_HOST", ""))
        path = f"/{host['bucket']}{path}" if host else path
    method = environ["REQUEST_METHOD"]
    fitting = [route for route in _routes(service) if route.fits(method, path, query, environ)]
    return _most_particular(fitting)


def _most_particular(routes: Iterable[_Route]) -> str | None:
    """Of those that fit, the one that asks for most; of these the plainest name, as ListBuckets of all lists."""
    ranked = sorted(routes, key=lambda r: (-len(r.query), -len(r.headers), len(r.operation)))
    return ranked[0].operation if ranked else None
