"""moto's request handler on connections that stay open.

Werkzeug's development server closes each connection after one answer, because it cannot tell a body that the
application did not read from the next request. Here the body is read beforehand.
"""

from __future__ import annotations

import io
import socket
import struct
from collections.abc import Callable
from typing import Any
from wsgiref.types import WSGIApplication

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import DechunkedInput, ThreadedWSGIServer

HOST = "127.0.0.1"
# In the environment of a request: how much of its answer's body leaves before the connection breaks; 0: not a byte.
HANG_UP = "localcloud.hang_up"
_BACKLOG = 512


class KeepAliveHandler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # 40 ms a request otherwise
    wbufsize = -1  # head and body of an answer leave in one packet
    timeout = 120  # s an idle connection is kept

    def make_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().make_environ()
        stream = environ["wsgi.input"]
        if isinstance(stream, DechunkedInput):
            body = stream.read() or b""
            del environ["HTTP_TRANSFER_ENCODING"]
        else:
            body = self.rfile.read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = io.BytesIO(body)
        environ["wsgi.input_terminated"] = True
        return environ

    def handle_expect_100(self) -> bool:
        super().handle_expect_100()
        self.wfile.flush()  # the client waits for it before it sends the body
        return True

    def run_wsgi(self) -> None:
        answer: list[Any] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], *_: object
        ) -> Callable[[bytes], object]:
            answer[:] = status, headers
            return lambda _: None

        environ = self.make_environ()
        chunks = self.server.app(environ, start_response)
        try:
            body = b"".join(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        left = environ.get(HANG_UP, 1.0)
        if left == 0:
            self._hang_up()
            return
        status, headers = answer
        code, _, phrase = status.partition(" ")
        self.send_response(int(code), phrase)
        for name, value in headers:
            self.send_header(name, value)
        bodiless = self.command == "HEAD" or code in ("204", "304")
        if not bodiless and not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not bodiless:
            self.wfile.write(body if left == 1 else body[: int(len(body) * left)])
        if left < 1:
            self._hang_up()

    def _hang_up(self) -> None:
        """End the connection as a network does that breaks: with what has been written, and a reset."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: a line for each request would fill the log in the hours that a cloud may live."""


class Server(ThreadedWSGIServer):
    request_queue_size = _BACKLOG
    block_on_close = False

    def __init__(self, listener: socket.socket, app: WSGIApplication) -> None:
        host, port = listener.getsockname()
        super().__init__(host, port, app, handler=KeepAliveHandler, fd=listener.fileno())


def listen(port: int) -> socket.socket:
    """A listening socket on the loopback interface; port 0 takes a free one."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
