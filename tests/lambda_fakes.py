"""What the fixtures of tests/lambda/conftest.py hand to the tests."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

JPEG = b"\xff\xd8\xff\xe0" + b"a photo" * 100


@dataclass
class Reply:
    status: int = 200
    body: bytes = b"[[0.1, 0.7, 0.2]]"
    headers: dict[str, str] = field(default_factory=dict)
    hold: bool = False  # until the test is over
    close_after: bool = False  # without having said so


@dataclass
class Request:
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    connection: int  # tells whether two requests came over the same one


@dataclass
class FakeEndpoint:
    """Answers with the replies in turn, then with the last one for ever."""

    url: str
    replies: list[Reply]
    requests: list[Request]

    def model_error(self, status: int, message: str) -> Reply:
        """As SageMaker wraps an error of the model's container."""
        body = {
            "ErrorCode": "CLIENT_ERROR_FROM_MODEL" if status < 500 else "INTERNAL_FAILURE_FROM_MODEL",
            "LogStreamArn": "",
            "Message": f'Received error ({status}) from primary with message "{message}"',
            "OriginalMessage": message,
            "OriginalStatusCode": status,
        }
        return Reply(424, json.dumps(body).encode(), {"x-amzn-ErrorType": "ModelError:http://internal/"})


Behaviour = Callable[[socket.socket, threading.Event], None]


@dataclass
class Remote:
    """Serves raw bytes, or whatever a function does with the connection, by path."""

    port: int
    pages: dict[str, bytes | Behaviour]
    heads: list[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def page(self, path: str, body: bytes, status: str = "200 OK", **headers: str) -> str:
        lines = [f"HTTP/1.1 {status}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.pages[path] = "\r\n".join([*lines, "", ""]).encode() + body
        return self.url + path

    def photo(self, path: str = "/dog.jpg", body: bytes = JPEG) -> str:
        return self.page(path, body, Content_Type="image/jpeg", Content_Length=str(len(body)))

    def redirect(self, path: str, to: str) -> str:
        return self.page(path, b"", "302 Found", Location=to, Content_Length="0")


@dataclass
class Internet:
    """Names and addresses as a test wants them. A connection to a public address goes to a port on loopback;
    one to any other public address is refused. `connections` records all."""

    names: dict[str, list[list[str]]] = field(default_factory=dict)  # answers in turn, then the last for ever
    ports: dict[str, int] = field(default_factory=dict)  # address → port on loopback
    connections: list[tuple[str, int]] = field(default_factory=list)
    lookups: list[str] = field(default_factory=list)

    def host(self, name: str, *addresses: str, port: int | None = None) -> None:
        self.names.setdefault(name, []).append(list(addresses))
        for address in addresses:
            if port is not None:
                self.ports[address] = port


@dataclass
class Context:
    seconds: float = 10.0
    aws_request_id: str = "00000000-0000-0000-0000-000000000001"

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


Call = Callable[..., Any]


def http_event(
    body: bytes, content_type: str | None, *, query: dict[str, str] | None = None, method: str = "POST"
) -> dict[str, Any]:
    """A function URL's event as Lambda makes it."""
    text = content_type is not None and (content_type.startswith("application/json"))
    return {
        "version": "2.0",
        "rawPath": "/",
        "headers": {"host": "x.lambda-url.us-east-1.on.aws"}
        | ({} if content_type is None else {"content-type": content_type}),
        **({"queryStringParameters": query} if query else {}),
        "requestContext": {"http": {"method": method, "path": "/", "protocol": "HTTP/1.1"}},
        "body": body.decode() if text else base64.b64encode(body).decode(),
        "isBase64Encoded": not text,
    }
