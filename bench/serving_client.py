"""The load of the serving benchmark: clients in a closed loop on connections that stay, in a process of its own.

    python bench/serving_client.py --port 8080 --path /invocations --clients 8 --seconds 5 photo.jpg ...

Nothing but the standard library, and uvloop where it is there. It costs a fraction of a millisecond of processor time a
request, which it tells: client and servers share the machine. Prints a JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


class Client(asyncio.Protocol):
    """Sends the next request when the answer to the last one is whole."""

    def __init__(self, requests: Iterator[bytes], until: float, done: asyncio.Future[None]) -> None:
        self.requests = requests
        self.until = until
        self.done = done
        self.began: list[float] = []
        self.ended: list[float] = []
        self.failed = 0
        self.last = b""
        self._received = bytearray()
        self._length = -1  # of the answer with its head; -1 unknown, -2 chunked

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._ask()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.done.done():
            self.failed += 1
            self.done.set_result(None)

    def _ask(self) -> None:
        if time.perf_counter() >= self.until:
            self.done.set_result(None)
            self._transport.close()
            return
        self._received.clear()
        self._length = -1
        self.began.append(time.perf_counter())
        self._transport.write(next(self.requests))

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        if self._length == -1:
            end = received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(received[: end + 2])
            if found := _LENGTH.search(head):
                self._length = end + 4 + int(found[1])
            else:
                assert _CHUNKED.search(head), head
                self._length = -2
        whole = received.endswith(b"0\r\n\r\n") if self._length == -2 else len(received) >= self._length
        if whole:
            self.ended.append(time.perf_counter())
            if not received.startswith(b"HTTP/1.1 200"):
                self.failed += 1
                self.last = bytes(received[:300])
            self._ask()


def request(path: str, photo: bytes) -> bytes:
    head = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: image/jpeg",
        f"Content-Length: {len(photo)}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + photo


async def run(port: int, path: str, clients: int, seconds: float, photos: list[bytes]) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    requests = itertools.cycle([request(path, photo) for photo in photos])
    cpu, started = time.process_time(), time.perf_counter()
    made = []
    for _ in range(clients):
        client = Client(requests, started + seconds, loop.create_future())
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
        made.append(client)
    await asyncio.gather(*(client.done for client in made))
    passed = max(max(client.ended, default=started) for client in made) - started
    latencies = [
        round((end - begin) * 1000, 3)
        for client in made
        for begin, end in zip(client.began, client.ended, strict=False)
    ]
    return {
        "requests": len(latencies),
        "failed": sum(client.failed for client in made),
        "seconds": max(passed, 1e-9),
        "latencies_ms": latencies,
        "cpu_seconds": time.process_time() - cpu,
        "last_failure": next((client.last.decode(errors="replace") for client in made if client.last), ""),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("photos", type=Path, nargs="+")
    arguments = parser.parse_args()
    photos = [photo.read_bytes() for photo in arguments.photos]
    work = run(arguments.port, arguments.path, arguments.clients, arguments.seconds, photos)
    try:
        import uvloop
    except ImportError:
        print(json.dumps(asyncio.run(work)))
    else:
        print(json.dumps(uvloop.run(work)))


if __name__ == "__main__":
    main()
