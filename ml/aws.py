"""The one way that boto3's clients are made: patient with a cloud that has a bad moment, and never taking half an
answer for a whole one."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError

ATTEMPTS = 5  # with pauses between them, of 15 s in all at most
_CONNECT_SECONDS = 5
_READ_SECONDS = 60
_LONG_READ_SECONDS = {"lambda": 120, "sagemaker-runtime": 70}  # what these work on before they answer
_CONNECTIONS = 16


def client(service: str, session: boto3.Session | None = None, **options: Any) -> Any:
    """Return a client of the session, or of the environment; `options` are those of boto3's."""
    config = Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_LONG_READ_SECONDS.get(service, _READ_SECONDS),
        max_pool_connections=_CONNECTIONS,
    )
    made: Any = (session or boto3).client(service, config=config, **options)  # type: ignore[call-overload]
    # botocore has no public place for this: its `before-send` comes before, and what `before-parse` raises is not
    # tried again. It parses half a JSON document as an empty one.
    transport = made._endpoint.http_session
    transport.send = _whole(transport.send)
    return made


def _whole(send: Any) -> Any:
    """`send`, where an answer that ends early is a connection that was lost, which is tried again."""

    def checked(request: AWSPreparedRequest) -> AWSResponse:
        response: AWSResponse = send(request)
        told = response.headers.get("Content-Length")
        is_bodiless = request.method == "HEAD" or response.status_code in (204, 304)
        if (request.stream_output and response.status_code < 300) or told is None or is_bodiless:
            return response  # a body that is streamed is checked by who reads it
        if len(response.content) < int(told):
            raise ConnectionClosedError(endpoint_url=request.url)
        return response

    return checked
