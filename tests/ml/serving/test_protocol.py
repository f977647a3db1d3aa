from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar

import pytest
import uvicorn
from uvicorn.server import ServerState

from ml.serving import protocol

T = TypeVar("T")
PATIENCE = 60  # seconds, for a busy machine
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def app(_: object, __: object, send: Callable[[Any], Awaitable[None]]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def refuse(scope: MutableMapping[str, Any]) -> protocol.Refusal | None:
    if (scope["method"], scope["path"]) != ("POST", "/refused"):
        return None
    return protocol.Refusal(503, [(b"content-length", b"4")], b"busy")


def on_connection(
    use: Callable[[asyncio.StreamReader, asyncio.StreamWriter, ServerState], Awaitable[T]],
) -> T:
    async def main() -> T:
        config = uvicorn.Config(
            app, http=protocol.limited(PATIENCE, 200_000, refuse), lifespan="off", log_config=None
        )
        config.load()
        state = ServerState()
        kind: Any = config.http_protocol_class

        def made() -> asyncio.Protocol:
            connection: asyncio.Protocol = kind(config=config, server_state=state, app_state={})
            return connection

        async with await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            used = await use(reader, writer, state)
            writer.close()
        return used

    return asyncio.run(asyncio.wait_for(main(), PATIENCE))


def drained(*requests: bytes) -> bytes:
    """What comes back on a connection that is idle when the server drains: of a request before, and of those after."""

    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: ServerState) -> bytes:
        writer.write(REQUEST)
        first = await reader.readuntil(b"\r\n\r\n")
        for connection in list(state.connections):
            connection.shutdown()
        for request in requests:
            writer.write(request)
        return first + await reader.read()

    return on_connection(use)


def test_who_asks_on_a_kept_connection_while_the_server_drains_is_answered_for_the_last_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "LAST_SECONDS", PATIENCE)
    first, last, rest = drained(REQUEST, REQUEST).split(b"\r\n\r\n", 2)
    assert b"connection: close" not in first
    assert last.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"connection: close" in last
    assert rest == b""


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 200000\r\n\r\n" + 50_000 * REQUEST[:4],
        b"Transfer-Encoding: chunked\r\n\r\n" + 20 * b"4\r\nGET \r\n" + b"0\r\nX: y\r\n\r\n",
    ],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize("size", [7, 1000, 10**9])
def test_the_body_of_a_refused_request_is_passed_over_and_the_connection_stays(
    size: int, body: bytes
) -> None:
    refused = b"POST /refused HTTP/1.1\r\nHost: a\r\n" + body
    sent = refused + refused + REQUEST
    if size < 1000:  # in pieces as small as that, less of it
        sent = sent.replace(50_000 * REQUEST[:4], 50 * REQUEST[:4]).replace(b"200000", b"200")

    async def use(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: ServerState
    ) -> list[bytes]:
        async def send() -> None:
            for start in range(0, len(sent), size):
                writer.write(sent[start : start + size])
                await writer.drain()
                await asyncio.sleep(0)

        sending = asyncio.create_task(send())
        heads = []
        for _ in range(3):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            if b"content-length: 4" in heads[-1]:
                assert await reader.readexactly(4) == b"busy"
        await sending
        (connection,) = state.connections
        while connection.timeout_keep_alive_task is None or connection._deadline is not None:
            await asyncio.sleep(0.001)  # the last bytes are on their way
        return heads

    heads = on_connection(use)
    assert [int(head.split()[1]) for head in heads] == [503, 503, 200]
    assert not any(b"connection: close" in head for head in heads)


@pytest.mark.parametrize("extra", [b"Connection: close\r\n", b"Expect: 100-continue\r\n"])
def test_who_may_not_send_more_on_the_connection_is_refused_by_the_service(extra: bytes) -> None:
    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: ServerState) -> bytes:
        writer.write(b"POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n" + extra + b"\r\n")
        return await reader.readuntil(b"\r\n\r\n")

    assert on_connection(use).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("sent", [b"", b"GET / HT"], ids=["nothing", "a part"])
def test_a_kept_connection_on_which_nobody_asks_ends_when_the_server_drains(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(protocol, "LAST_SECONDS", 0.1)
    assert drained(sent).count(b"HTTP/1.1 200") == 1
