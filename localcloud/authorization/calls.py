"""Requests as calls of operations, with their parameters by name, whatever the protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import WSGIEnvironment

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from werkzeug.exceptions import HTTPException

# By the name that requests are signed for: botocore's name of the service, and IAM's prefix of its actions.
SERVICES = {
    "application-autoscaling": ("application-autoscaling", "application-autoscaling"),
    "autoscaling": ("autoscaling", "autoscaling"),
    "budgets": ("budgets", "budgets"),
    "ce": ("ce", "ce"),
    "cloudformation": ("cloudformation", "cloudformation"),
    "dynamodb": ("dynamodb", "dynamodb"),
    "ec2": ("ec2", "ec2"),
    "ecr": ("ecr", "ecr"),
    "events": ("events", "events"),
    "iam": ("iam", "iam"),
    "kms": ("kms", "kms"),
    "lambda": ("lambda", "lambda"),
    "logs": ("logs", "logs"),
    "monitoring": ("cloudwatch", "cloudwatch"),
    "s3": ("s3", "s3"),
    "sagemaker": ("sagemaker", "sagemaker"),
    "scheduler": ("scheduler", "scheduler"),
    "secretsmanager": ("secretsmanager", "secretsmanager"),
    "servicequotas": ("service-quotas", "servicequotas"),
    "sns": ("sns", "sns"),
    "sqs": ("sqs", "sqs"),
    "ssm": ("ssm", "ssm"),
    "sts": ("sts", "sts"),
    "tagging": ("resourcegroupstaggingapi", "tag"),
    "xray": ("xray", "xray"),
}


@dataclass(frozen=True)
class Call:
    prefix: str  # IAM's of the service
    operation: str
    params: Mapping[str, Any]
    region: str
    account: str  # of the caller
    headers: Mapping[str, str] = field(default_factory=dict)  # by lower-case name

    @cached_property
    def flat(self) -> dict[str, list[str]]:
        """All scalars below the parameters, by lower-case name without its plural; outer ones hide inner ones."""
        found: dict[str, list[str]] = {}
        level: list[Any] = [self.params]
        while level:
            this: dict[str, list[str]] = {}
            below: list[Any] = []
            for one in level:
                if isinstance(one, Mapping):
                    for name, value in one.items():
                        for item in value if isinstance(value, list) else [value]:
                            if isinstance(item, Mapping):
                                below.append(item)
                            elif item is not None and not isinstance(item, list):
                                key = str(name).lower()
                                text = str(item).lower() if isinstance(item, bool) else str(item)
                                this.setdefault(key, []).append(text)
                                if key.endswith("s"):
                                    this.setdefault(key[:-1], []).append(text)
            for key, values in this.items():
                found.setdefault(key, values)
            level = below
        return found

    def first(self, *names: str) -> str | None:
        for name in names:
            values = self.flat.get(name.lower())
            if values:
                return values[0]
        return None


def read(environ: WSGIEnvironment, signed_for: str, region: str, account: str) -> Call | None:
    """None where the cloud cannot tell what the request asks for."""
    known = SERVICES.get(signed_for)
    if known is None:
        return None
    service, prefix = known
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") and isinstance(value, str)
    }
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target and "json" in get_service_model(service).metadata.get("protocols", ()):
        operation = str(target).rpartition(".")[2]
        params = _json(environ, service, operation)
        return None if params is None else Call(prefix, operation, params, region, account, headers)
    path = environ.get("PATH_INFO", "")
    if service == "sagemaker":  # its JSON is told by the header; what has a path is another API of it
        service = "sagemaker-metrics" if path.endswith("BatchPutMetrics") else "sagemaker-runtime"
    return _by_model(environ, service, prefix, region, account, headers)


def _json(environ: WSGIEnvironment, service: str, operation: str) -> dict[str, Any] | None:
    """None where moto could read the request in another way: it takes parameters from a query, too."""
    model = get_service_model(service)
    at_root = environ.get("PATH_INFO") == "/" and not environ.get("QUERY_STRING")
    if not at_root or operation not in model.operation_names:
        return None
    try:
        parsed = json.loads(body(environ) or b"{}")
    except ValueError:
        return None
    return _known(parsed, model.operation_model(operation).input_shape) if isinstance(parsed, dict) else None


def _known(value: Any, shape: Any) -> Any:
    """What the operation takes: a name that AWS ignores, "endpointname", must not stand for one that it knows."""
    if shape is None:
        return {}
    if shape.type_name == "structure" and isinstance(value, Mapping):
        return {name: _known(value[name], one) for name, one in shape.members.items() if name in value}
    if shape.type_name == "map" and isinstance(value, Mapping):
        return {key: _known(one, shape.value) for key, one in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_known(one, shape.member) for one in value]
    return value


def _by_model(
    environ: WSGIEnvironment, service: str, prefix: str, region: str, account: str, headers: Mapping[str, str]
) -> Call | None:
    request = Request(dict(environ))
    model = get_service_model(service)
    try:
        operation, labels = get_service_router(service).match(request)
        protocol = determine_request_protocol(model, request.content_type)
    except (HTTPException, NotImplementedError):
        return None
    finally:
        environ["wsgi.input"].seek(0)
    if service == "s3" and _is_twofold(request, operation):
        return None
    content = body(environ)
    in_query = bool(environ.get("QUERY_STRING"))
    if protocol in ("query", "ec2") and (request.path != "/" or (in_query and content)):
        return None  # two places for parameters, of which moto takes one
    values = request.values
    streaming = bool(operation.has_streaming_input)
    try:
        params = PROTOCOL_PARSERS[protocol](operation).parse(
            {
                "method": request.method,
                "values": values,
                "headers": request.headers,
                "body": b"" if streaming else content,
                "url_path": request.path,
                "url_params": labels,
            }
        )
    except Exception:  # a body that is none
        return None
    finally:
        environ["wsgi.input"].seek(0)
    return Call(prefix, str(operation.name), {**labels, **params}, region, account, headers)


@cache
def _parts() -> frozenset[str]:
    """What is named in a query to S3 to tell operations on one path apart."""
    model = get_service_model("s3")
    named = (model.operation_model(name).http_trait.query_args for name in model.operation_names)
    return frozenset({"uploadId"}.union(*named))


def _is_twofold(request: Request, operation: Any) -> bool:
    """Whether the query names a part that is another operation's, such as "?tagging&policy": moto takes one of them."""
    own = {*operation.http_trait.query_args}
    if operation.input_shape is not None:
        own |= {*operation.input_shape.required_query_args}
    return not own.issuperset(_parts() & set(request.args))


def body(environ: WSGIEnvironment) -> bytes:
    """In memory, see http_server; left as it was found."""
    stream: Any = environ["wsgi.input"]
    content: bytes = stream.read()
    stream.seek(0)
    return content


def query(environ: WSGIEnvironment) -> dict[str, list[str]]:
    return parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
