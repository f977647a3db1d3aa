"""Clients that are patient, and see through half an answer, against a server that gives some."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from ml import aws

WHOLE = b'{"ModelArn": "arn:aws:sagemaker:us-east-1:123456789012:model/m"}'


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, whole_from: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = 0
        self.whole_from = whole_from


class Handler(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        length = 0
        while (line := self.rfile.readline().strip()) != b"":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        self.rfile.read(length)
        self.server.asked += 1
        body = WHOLE if self.server.asked >= self.server.whole_from else WHOLE[:20]
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(WHOLE)}\r\n\r\n"
        self.wfile.write(head.encode() + body)


@pytest.fixture
def serve() -> Iterator[Callable[[int], tuple[Server, Any]]]:
    servers: list[Server] = []

    def start(whole_from: int) -> tuple[Server, Any]:
        server = Server(whole_from)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = aws.client(
            "sagemaker", endpoint_url=f"http://127.0.0.1:{server.server_address[1]}", region_name="us-east-1",
            aws_access_key_id="local", aws_secret_access_key="local",
        )  # fmt: skip
        return server, client

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_half_an_answer_is_asked_for_again(serve: Callable[[int], tuple[Server, Any]]) -> None:
    server, client = serve(3)
    assert client.delete_model(ModelName="m")["ResponseMetadata"]["RetryAttempts"] == 2
    assert server.asked == 3


def test_half_an_answer_is_never_taken_for_a_whole_one(
    serve: Callable[[int], tuple[Server, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws, "ATTEMPTS", 2)
    server, client = serve(99)
    with pytest.raises(ConnectionClosedError):
        client.delete_model(ModelName="m")
    assert server.asked == 2
