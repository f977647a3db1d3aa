from __future__ import annotations

import asyncio
import collections
from collections.abc import Awaitable, Callable

from bench.overload_client import Answer, Client

REQUEST = b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


def ask(
    use: Callable[[Client], Awaitable[list[Answer]]], answers: list[bytes], connections: int
) -> list[int]:
    """The statuses of what came back from a server that answers in turn; nothing closes the connection."""
    turn = collections.deque(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(len(REQUEST)):
            turn.rotate(-1)
            if not turn[-1]:
                break
            half = len(turn[-1]) // 2
            writer.write(turn[-1][:half])
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(turn[-1][half:])
        writer.close()

    async def main() -> list[int]:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            client = Client(server.sockets[0].getsockname()[1], [REQUEST])
            await client.connect(connections)
            found = await use(client)
            await client.rest()
            client.close()
        assert all(answer.seconds >= 0 for answer in found)
        return [answer.status for answer in found]

    return asyncio.run(asyncio.wait_for(main(), 60))


def test_a_closed_loop_sends_the_next_when_the_last_is_answered() -> None:
    statuses = ask(lambda client: client.closed_loop(2, 0.1), [OK, BUSY], 4)
    assert len(statuses) >= 4
    assert set(statuses) == {200, 503}


def test_an_open_loop_sends_at_its_rate_and_tells_of_what_it_could_not_send() -> None:
    async def use(client: Client) -> list[Answer]:
        answers = await client.open_loop(1000, 0.2)
        await client.rest()
        assert len(answers) + client.unsent == 200
        return answers

    assert set(ask(use, [OK], 1)) == {200}


def test_a_connection_that_the_server_will_close_is_used_no_more() -> None:
    last = OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    assert ask(lambda client: client.closed_loop(1, 30), [OK, last], 1) == [200, 200]


def test_a_connection_that_is_closed_is_an_answer_too() -> None:
    assert ask(lambda client: client.closed_loop(1, 30), [OK, b""], 1) == [200, 0]
