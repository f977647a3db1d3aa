"""A server that a load can be put on, with the answers that a test wants."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ops.load import driver
from ops.load.options import Demand
from ops.load.payloads import Body
from ops.load.result import Result
from ops.load.target import Instances, Target

Answer = tuple[int, dict[str, str], bytes]
GOOD: Answer = (200, {}, b"[[1.0]]")


class Stub:
    """Answers with what `answer` returns, given the number of the request."""

    def __init__(self) -> None:
        self.answer: Callable[[int], Answer] = lambda _: GOOD
        self.seen: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                number = len(stub.seen)
                stub.seen.append(
                    {name.lower(): value for name, value in self.headers.items()} | {"": self.path}
                )
                stub.bodies.append(body)
                status, headers, content = stub.answer(number)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                """A client that is gone is no error here."""

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/endpoints/kennel/invocations"

    @property
    def target(self) -> Target:
        return Target(
            "endpoint", "kennel", self.url, "sagemaker", "us-east-1", {"Accept": "application/json"}
        )

    def load(self, demand: Demand, target: Target | None = None) -> Result:
        found = Instances("ml.c5.large", 1, 1)
        target = target or self.target
        measured = driver.run(target, demand, [Body(b"photo", "image/jpeg")], ENVIRONMENT)
        return Result("dev", target, demand, measured, found, found)


ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
}


@pytest.fixture
def stub() -> Iterator[Stub]:
    made = Stub()
    yield made
    made.server.shutdown()
    made.server.server_close()


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not: {what}"
        time.sleep(0.01)
