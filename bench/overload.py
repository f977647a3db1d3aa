"""Five times as many requests as the server can answer, for a minute: what becomes of throughput, latency, memory.

    python bench/overload.py [seconds]

The server is the real one, with photos to decode and a stand-in for the model that takes processor time as a
network does, without Python's lock. The client is a process of its own, open-loop: a request is sent when its
time has come, whether the ones before have been answered or not. What it prints are ratios to the peak, which the
same client measures right before, with as many requests at once as keep the server busy; and how long the first
answer takes afterwards. The server's processor time tells what refusals take from answers even where other
programs keep the machine busy, as the throughput does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from ml.serving import logs, place, worker
from ml.serving.metrics import Metrics
from ml.serving.processors import cpu_count
from ml.serving.server import Service
from ml.serving.settings import Settings

OVERLOAD: Final = 5
CONNECTIONS: Final = 400  # that the open-loop client has at most
WORK: Final = bytes(6 * 2**20)  # hashed for each image: some milliseconds
CLASSES: Final = 133


class _Preprocessing:
    decoded_side = 256

    def pixels(self, image: Image.Image) -> np.ndarray[Any, Any]:
        return np.asarray(image.resize((224, 224)))


class _Engine:
    concurrency = cpu_count()
    max_batch = 1
    classes = tuple(map(str, range(CLASSES)))
    preprocessing = _Preprocessing()

    def infer(self, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        hashlib.sha256(WORK)
        return np.zeros((len(pixels), CLASSES), np.float32)


def serve(descriptor: int) -> None:
    logs.configure()
    signal.signal(signal.SIGTERM, lambda *_: None)
    _, channel = socket.socketpair()
    own = place.Place(0, os.getppid(), descriptor, channel=channel.detach())
    service = Service(Settings(deadline_seconds=2), _Engine(), Metrics(0))  # type: ignore[arg-type]
    server = worker._Server(service, own, {})
    server.run([socket.socket(proto=socket.IPPROTO_TCP, fileno=descriptor)])


def photo() -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((800, 600)).save(file, "JPEG", quality=85)
    return file.getvalue()


class Client:
    def __init__(self, port: int) -> None:
        body = photo()
        lines = (
            "POST /invocations HTTP/1.1",
            "Host: a",
            "Content-Type: image/jpeg",
            f"Content-Length: {len(body)}",
        )
        head = "\r\n".join([*lines, "", ""])
        self._request = head.encode() + body
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.answers: list[tuple[int, float, float]] = []  # status, time of the answer, seconds it took

    async def ask(self) -> None:
        began = time.monotonic()
        reader, writer = (
            self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        )
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
        self._idle.append((reader, writer))
        now = time.monotonic()
        self.answers.append((int(head.split(b" ")[1]), now, now - began))

    async def closed_loop(self, users: int, seconds: float) -> float:
        """Answers a second."""
        end = time.monotonic() + seconds

        async def user() -> None:
            while time.monotonic() < end:
                await self.ask()

        before = len(self.answers)
        await asyncio.gather(*(user() for _ in range(users)))
        return (len(self.answers) - before) / seconds

    async def open_loop(self, rate: float, seconds: float) -> int:
        """How many could not be sent, for want of a connection."""
        under_way: set[asyncio.Task[None]] = set()
        unsent = 0
        began = time.monotonic()
        for number in range(int(rate * seconds)):
            pause = began + number / rate - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            if len(under_way) >= CONNECTIONS:
                unsent += 1
                await asyncio.sleep(0)
                continue
            task = asyncio.create_task(self.ask())
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)
        return unsent


async def measure(port: int, pid: int, seconds: float) -> None:
    client = Client(port)
    await client.closed_loop(4 * cpu_count(), 3)
    client.answers.clear()
    cpu = _cpu_seconds(pid)
    peak = await client.closed_loop(4 * cpu_count(), 10)
    answer_cost = (_cpu_seconds(pid) - cpu) / len(client.answers)
    client.answers.clear()
    began, cpu, before, highest = time.monotonic(), _cpu_seconds(pid), 0, 0
    overload = asyncio.create_task(client.open_loop(OVERLOAD * peak, seconds))
    while not overload.done():
        if before == 0 and time.monotonic() - began > seconds / 5:
            before = _resident(pid)
        highest = max(highest, _resident(pid))
        await asyncio.sleep(0.5)
    cpu = _cpu_seconds(pid) - cpu
    unsent = overload.result()
    took = time.monotonic() - began
    accepted = sorted(wait for status, _, wait in client.answers if status == 200)
    refused = sorted(wait for status, _, wait in client.answers if status == 503)
    assert len(accepted) + len(refused) == len(client.answers), "other answers than 200 and 503"
    refusal_cost = max(0.0, cpu - answer_cost * len(accepted)) / max(1, len(refused)) / answer_cost
    ended = time.monotonic()
    await client.ask()
    recovered = time.monotonic() - ended
    again = await client.closed_loop(4 * cpu_count(), 10)
    print(f"peak                          {peak:8.1f} requests/s")
    print(f"sent, to the peak             {len(client.answers) / took / peak:8.2f}   (unsent: {unsent})")
    print(f"answered, to the peak         {len(accepted) / took / peak:8.2f}")
    print(f"CPU of a refusal, to an answer{refusal_cost:8.3f}")
    print(f"CPU left for answers          {1 / (1 + (OVERLOAD - 1) * refusal_cost):8.2f}")
    print(f"latency of the accepted       {_quantiles(accepted)}")
    print(f"latency of the refused        {_quantiles(refused)}")
    print(f"memory, to that after a fifth {highest / before:8.2f}")
    print(f"first answer afterwards       {recovered:8.3f} s")
    print(f"throughput afterwards         {again / peak:8.2f}")


def _quantiles(waits: list[float]) -> str:
    if len(waits) < 2:
        return "none"
    cuts = statistics.quantiles(waits, n=100)
    return f"p50 {cuts[49]:.3f} s, p99 {cuts[98]:.3f} s, longest {waits[-1]:.3f} s"


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1])


@contextlib.contextmanager
def serving() -> Iterator[tuple[int, int]]:
    with socket.socket() as listener, tempfile.TemporaryDirectory() as metrics:
        listener.bind(("127.0.0.1", 0))
        process = subprocess.Popen(
            [sys.executable, __file__, "serve", str(listener.fileno())],
            pass_fds=[listener.fileno()],
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": metrics},
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "ready"
        drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
        try:
            yield listener.getsockname()[1], process.pid
        finally:
            process.terminate()
            process.wait()
            drain.wait()
            process.stdout.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]))
    else:
        with serving() as (port, pid):
            asyncio.run(measure(port, pid, float(sys.argv[1]) if sys.argv[1:] else 60))
