"""Which operation of which service a request asks for, by the names of boto3's clients and operations."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl
from wsgiref.types import WSGIEnvironment

from botocore.exceptions import UnknownServiceError
from botocore.model import ServiceModel
from botocore.session import get_session

from localcloud.authorization import calls

_SIGNED = re.compile(r"Credential=[^/,]+/[^/]*/(?P<region>[^/]*)/(?P<service>[^/]+)/aws4_request")
_RUNTIME = ("InvokeEndpoint", "InvokeEndpointAsync", "InvokeEndpointWithResponseStream")


@dataclass(frozen=True)
class Call:
    service: str
    operation: str
    path: str
    body: bytes

    def concerns(self, text: str) -> bool:
        """Whether a name, key or address occurs in what is asked for."""
        return text in self.path or text.encode() in self.body


def of(environ: WSGIEnvironment) -> Call | None:
    """None where the request is signed for no service, or nobody can tell what it asks for."""
    query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
    presigned = f"Credential={query.get('X-Amz-Credential', '')}"
    signed = _SIGNED.search(environ.get("HTTP_AUTHORIZATION", "")) or _SIGNED.search(presigned)
    if signed is None:
        return None
    told = calls.read(environ, signed["service"], signed["region"], "")
    if told is None:
        return None
    service = "sagemaker-runtime" if told.operation in _RUNTIME else calls.SERVICES[signed["service"]][0]
    return Call(service, told.operation, environ.get("PATH_INFO", "/"), calls.body(environ))


@functools.cache
def service_model(service: str) -> ServiceModel | None:
    try:
        return get_session().get_service_model(service)
    except UnknownServiceError:
        return None


@functools.cache
def services() -> frozenset[str]:
    """Those whose requests are told apart."""
    return frozenset({service for service, _ in calls.SERVICES.values()} | {"sagemaker-runtime"})
