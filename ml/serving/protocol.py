"""HTTP/1.1 on a connection: uvicorn's protocol over httptools, with the limits that this one lacks.

A head that grows without end, or comes a byte a minute, closes the connection; so does what a chunked body may
carry besides its bytes. The body itself is limited, in size and time, by the service that reads it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .batching import Connection

MAX_HEAD: Final = 65536  # bytes; h11's limit
IDLE_SECONDS: Final = 75  # of a kept connection; longer than the 60 s after which balancers let go of theirs


class LimitedProtocol(HttpToolsProtocol):
    head_seconds: float  # set on a subclass, by `limited`
    max_message: int  # bytes

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head = 0  # bytes of request line, headers and trailers
        self._received = 0  # bytes since the last request began or ended
        self._client = Connection()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.gone = True
        super().connection_lost(exc)
        self._rest()

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        # The parser keeps a header until it is complete, which the count of headers does not see.
        if self._in_head and self._received > MAX_HEAD:
            self.send_400_response("The head of the request is too large.")
        elif self._received > self.max_message:
            self.transport.close()
        else:
            self._watch()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = self._received = 0

    def on_url(self, url: bytes) -> None:
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name, value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()
        self.scope["state"]["connection"] = self._client

    def on_message_complete(self) -> None:
        self._in_head = True
        self._received = 0
        super().on_message_complete()

    def _count(self, *parts: bytes) -> None:
        self._head += sum(map(len, parts))
        if self._head > MAX_HEAD:
            raise ValueError("the head of a request is too large")  # becomes a 400

    def _watch(self) -> None:
        """Time runs until a request is complete up to its headers; not between requests, where uvicorn counts."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._rest()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self.transport.close)

    def _rest(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def limited(head_seconds: float, max_body: int) -> type[LimitedProtocol]:
    # Chunks of six bytes double a body; smaller ones are nobody's.
    limits = {"head_seconds": head_seconds, "max_message": 2 * max_body + MAX_HEAD}
    return type("LimitedProtocol", (LimitedProtocol,), limits)
