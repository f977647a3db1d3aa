"""HTTP/1.1 on a connection: uvicorn's protocol over httptools, with the limits that this one lacks.

A head that grows without end, or comes a byte a minute, closes the connection; so does what a chunked body may
carry besides its bytes. The body itself is limited, in size and time, by the service that reads it.

A request that is not let in is answered from its head, past uvicorn's tasks and events: under overload most requests
are refused, and what that costs is taken from the answers.

uvicorn closes kept connections the moment it drains, and what has just been sent on them is lost. Here they stay for
a moment: who asks on one is answered, and told that it is the last time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any, Final, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from .batching import Connection

MAX_HEAD: Final = 65536  # bytes; h11's limit
IDLE_SECONDS: Final = 75  # of a kept connection; longer than the 60 s after which balancers let go of theirs
LAST_SECONDS: Final = 0.5  # of an idle connection, once the server drains


class Refusal(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


Refuse = Callable[[MutableMapping[str, Any]], Refusal | None]  # by what ASGI calls the scope


class LimitedProtocol(HttpToolsProtocol):
    head_seconds: float  # set on a subclass, by `limited`
    max_message: int  # bytes
    refuse: Refuse

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._in_head = True
        self._in_message = True  # which the first one is from the start: it has to come
        self._refused = False  # the rest of the message is passed over
        self._head = 0  # bytes of request line, headers and trailers
        self._received = 0  # bytes since the last request began or ended
        self._client = Connection()
        self._draining = False

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
        self._in_message = True
        self._head = self._received = 0

    def on_url(self, url: bytes) -> None:
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name, value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._free() and (refusal := self._refusal()) is not None:
            self._refused = True
            self._write(refusal)
            return
        super().on_headers_complete()
        if self._draining:
            self.cycle.keep_alive = False
        self.scope["state"]["connection"] = self._client

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        self._in_message = False
        self._received = 0
        if not self._refused:
            super().on_message_complete()
        self._refused = False
        if not self._answers():  # it has been answered before its end
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def shutdown(self) -> None:
        """Called once for each connection, when the server drains."""
        self._draining = True
        if self._answers():
            super().shutdown()
        else:
            self.loop.call_later(LAST_SECONDS, self._close_idle)

    def _close_idle(self) -> None:
        if not self._answers():
            self.transport.close()

    def _answers(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _free(self) -> bool:
        """Whether a refusal can be written here and now, and the connection stays."""
        return not (
            self._answers()
            or self._draining
            or self.flow.write_paused
            or self.expect_100_continue
            or self.parser.should_upgrade()
            or not self.parser.should_keep_alive()
            or self.parser.get_http_version() != "1.1"
        )

    def _refusal(self) -> Refusal | None:
        method, path = self.parser.get_method().decode("ascii"), self.url.decode("latin-1")
        return self.refuse({**self.scope, "method": method, "path": path})

    def _write(self, refusal: Refusal) -> None:
        lines = [STATUS_LINE[refusal.status]]
        for name, value in (*self.server_state.default_headers, *refusal.headers):
            lines += [name, b": ", value, b"\r\n"]
        self.transport.write(b"".join([*lines, b"\r\n", refusal.body]))

    def _count(self, *parts: bytes) -> None:
        self._head += sum(map(len, parts))
        if self._head > MAX_HEAD:
            raise ValueError("the head of a request is too large")  # becomes a 400

    def _watch(self) -> None:
        """Time runs until a request is complete up to its headers; not between requests, where uvicorn counts."""
        if self._answers() or not self._in_message:
            self._rest()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self.transport.close)

    def _rest(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def limited(head_seconds: float, max_body: int, refuse: Refuse) -> type[LimitedProtocol]:
    """`refuse` answers a request whose head has come, where it is not to be let in."""
    # Chunks of six bytes double a body; smaller ones are nobody's.
    limits = {"head_seconds": head_seconds, "max_message": 2 * max_body + MAX_HEAD}
    return type("LimitedProtocol", (LimitedProtocol,), {**limits, "refuse": staticmethod(refuse)})
