"""The Lambda Runtime API (version 2018-06-01) of one sandbox, over HTTP/1.1 on a loopback port.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from localcloud.functions.settings import RESPONSE_BYTES

_ROOT = "/2018-06-01/runtime"
_HEAD_BYTES = 2 * 1024 * 1024  # the runtime client sends up to 1 MB of X-Ray cause in a header
_BODY_BYTES = 4 * RESPONSE_BYTES  # beyond this a body is not even read


@dataclass(frozen=True)
class Work:
    request_id: str
    payload: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class Answer:
    payload: bytes
    is_error: bool
    keeps_running: bool = True  # False: the runtime client does not survive what it was told


class RuntimeApi:
    """Hands one invocation at a time to the runtime client. Lives in one event loop."""

    def __init__(self, on_idle: Callable[[], None]) -> None:
        """`on_idle` is called whenever the client comes to ask for work and there is none."""
        self._on_idle = on_idle
        self._work: asyncio.Queue[Work] = asyncio.Queue(maxsize=1)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._request_id = ""
        self.initialized: asyncio.Future[bytes | None]  # None: ready; bytes: the error it reported
        self.answer: asyncio.Future[Answer]

    async def start(self) -> str:
        """Returns host:port."""
        loop = asyncio.get_running_loop()
        self.initialized = loop.create_future()
        self.answer = loop.create_future()
        # asyncio sets TCP_NODELAY; with Nagle's algorithm each call would take 40 ms longer.
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=_HEAD_BYTES)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()

    def submit(self, work: Work) -> asyncio.Future[Answer]:
        self.answer = asyncio.get_running_loop().create_future()
        self._request_id = work.request_id
        self._work.put_nowait(work)
        return self.answer

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ", 2)
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in head[1:])
                }
                length = int(headers.get("content-length") or 0)
                if length > _BODY_BYTES:
                    self._settle(_too_large())
                    return
                body = await reader.readexactly(length)
                writer.write(await self._route(method, path, body))
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            pass  # the client has gone or does not speak HTTP; the sandbox notices when its process ends
        finally:
            writer.close()

    async def _route(self, method: str, path: str, body: bytes) -> bytes:
        action = path.removeprefix(_ROOT)
        if (method, action) == ("GET", "/invocation/next"):
            if not self.initialized.done():
                self.initialized.set_result(None)
            if self._work.empty():
                self._on_idle()
            work = await self._work.get()
            return _response(HTTPStatus.OK, work.payload, work.headers)
        if (method, action) == ("POST", "/init/error"):
            if not self.initialized.done():
                self.initialized.set_result(body)
            return _response(HTTPStatus.ACCEPTED)
        if method == "POST" and action == f"/invocation/{self._request_id}/response":
            if len(body) > RESPONSE_BYTES:
                self._settle(_too_large())
                return _response(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b'{"errorType":"RequestEntityTooLarge"}'
                )
            self._settle(Answer(body, is_error=False))
            return _response(HTTPStatus.ACCEPTED)
        if method == "POST" and action == f"/invocation/{self._request_id}/error":
            self._settle(Answer(body, is_error=True))
            return _response(HTTPStatus.ACCEPTED)
        return _response(HTTPStatus.BAD_REQUEST, b'{"errorType":"InvalidRequestID"}')

    def _settle(self, answer: Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)


def _too_large() -> Answer:
    message = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_BYTES} bytes)."
    error = {"errorMessage": message, "errorType": "Function.ResponseSizeTooLarge"}
    return Answer(json.dumps(error).encode(), is_error=True, keeps_running=False)


def _response(status: HTTPStatus, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
