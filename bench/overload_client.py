"""The load of bench/overload.py: requests on connections that stay, in a closed loop, or at a rate whatever comes back.

A request counts from the moment that it was due, so that a late client is seen as latency.
"""

from __future__ import annotations

import asyncio
import collections
import re
import time
from collections.abc import Callable
from typing import Final, NamedTuple, cast

_CLOSE: Final = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
TICK: Final = 0.002  # seconds between looks at what is due


class Answer(NamedTuple):
    status: int  # 0: the connection was closed
    due: float  # of time.monotonic()
    seconds: float


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, free: Callable[[Connection, Answer | None], None]) -> None:
        """`free` is called with each answer, and with None when an idle connection is closed."""
        self._free = free
        self._due = 0.0
        self._waits = False
        self.last = False  # the server closes it after this answer
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def ask(self, request: bytes, due: float) -> None:
        self._due, self._waits = due, True
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        found = _LENGTH.search(self._received, 0, end + 2)
        assert found, self._received[:end]
        if len(self._received) >= end + 4 + int(found[1]):
            status = int(self._received[9:12])
            self.last = _CLOSE.search(self._received, 0, end + 2) is not None
            self._received.clear()
            self._end(status)

    def connection_lost(self, _: Exception | None) -> None:
        if self._waits:
            self._end(0)
        else:
            self._free(self, None)

    def close(self) -> None:
        self._transport.close()

    def _end(self, status: int) -> None:
        self._waits = False
        self._free(self, Answer(status, self._due, time.monotonic() - self._due))


class Client:
    def __init__(self, port: int, requests: list[bytes]) -> None:
        self.answers: list[Answer] = []
        self.unsent = 0  # for want of a connection
        self._port = port
        self._requests = collections.deque(requests)
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []
        self._closed_loop_until = 0.0

    async def connect(self, count: int) -> None:
        """So many connections in all; the server closes those on which nothing is asked for long."""
        loop = asyncio.get_running_loop()
        while len(self._connections) < count:
            _, made = await loop.create_connection(lambda: Connection(self._freed), "127.0.0.1", self._port)
            self._connections.add(made)
            self._idle.append(made)

    async def closed_loop(self, users: int, seconds: float) -> list[Answer]:
        """So many at once, all the time."""
        self.answers = []
        self._closed_loop_until = time.monotonic() + seconds
        for _ in range(users):
            self._ask(time.monotonic())
        await self.rest()
        return self.answers

    async def open_loop(self, rate: float, seconds: float) -> list[Answer]:
        """Returns when the last is sent; `rest` waits for the answers."""
        self.answers, self.unsent = [], 0
        began, due, every = time.monotonic(), 0, int(rate * seconds)
        while due < every:
            passed = time.monotonic() - began
            before, due = due, min(every, int(rate * passed))
            for number in range(before, due):
                if self._idle:
                    self._ask(began + number / rate)
                else:
                    self.unsent += 1
            await asyncio.sleep(TICK)
        return self.answers

    async def rest(self) -> None:
        while len(self._idle) < len(self._connections):
            await asyncio.sleep(TICK)

    def close(self) -> None:
        for connection in list(self._connections):
            connection.close()

    def _ask(self, due: float) -> None:
        self._requests.rotate()
        self._idle.pop().ask(self._requests[0], due)

    def _freed(self, connection: Connection, answer: Answer | None) -> None:
        if answer is None:
            self._connections.discard(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            return
        self.answers.append(answer)
        if answer.status == 0 or connection.last:
            self._connections.discard(connection)
            connection.close()
            return
        self._idle.append(connection)
        now = time.monotonic()
        if now < self._closed_loop_until:
            self._ask(now)
