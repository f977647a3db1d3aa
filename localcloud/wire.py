"""AWS-shaped error answers, for requests that never reach a moto service."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIEnvironment
from xml.sax.saxutils import escape

_XML_SERVICES = {"s3", "s3control", "cloudfront", "route53"}  # REST with XML errors


def error_response(
    environ: WSGIEnvironment,
    start_response: StartResponse,
    status: int,
    code: str,
    message: str,
    service: str | None = None,
) -> Iterable[bytes]:
    """Answer with an error in the protocol that the request speaks; `service` where its signature does not say it."""
    request_id = str(uuid.uuid4())
    headers = [("x-amzn-RequestId", request_id)]
    service = signing_service(environ) if service is None else service
    query = environ.get("PATH_INFO") == "/" and "HTTP_X_AMZ_TARGET" not in environ
    if service in _XML_SERVICES:
        body = (
            f"<Error><Code>{code}</Code><Message>{escape(message)}</Message>"
            f"<RequestId>{request_id}</RequestId></Error>"
        )
        headers.append(("Content-Type", "application/xml"))
    elif service == "ec2":
        body = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{escape(message)}</Message>"
            f"</Error></Errors><RequestID>{request_id}</RequestID></Response>"
        )
        headers.append(("Content-Type", "text/xml"))
    elif "HTTP_SMITHY_PROTOCOL" in environ:  # RPC v2 in CBOR
        data = b"\xa2" + b"".join(map(_cbor_text, ("__type", code, "message", message)))
        headers += [
            ("Content-Type", "application/cbor"),
            ("smithy-protocol", "rpc-v2-cbor"),
            ("Content-Length", str(len(data))),
        ]
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [data]
    elif query:
        body = (
            f"<ErrorResponse><Error><Type>Receiver</Type><Code>{code}</Code>"
            f"<Message>{escape(message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        headers.append(("Content-Type", "text/xml"))
    else:
        body = json.dumps({"__type": code, "message": message})
        headers += [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", code)]
    data = body.encode()
    headers.append(("Content-Length", str(len(data))))
    start_response(f"{status} {HTTPStatus(status).phrase}", headers)
    return [data]


def _cbor_text(text: str) -> bytes:
    data = text.encode()
    return b"\x79" + len(data).to_bytes(2, "big") + data


def signing_service(environ: WSGIEnvironment) -> str:
    """The service of a signed request, as in `Credential=<key>/<date>/<region>/<service>/aws4_request`."""
    scope = environ.get("HTTP_AUTHORIZATION", "").split(",")[0].split("/")
    return scope[3].lower() if len(scope) == 5 else ""


def operation(environ: WSGIEnvironment) -> str:
    """What the request asks for, as well as it can be told without the service's model."""
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return str(target).rsplit(".", 1)[-1]
    return f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '/')}"
