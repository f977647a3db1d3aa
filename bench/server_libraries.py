"""CPU time a request costs in HTTP servers that take 100 kB and answer 133 scores, doing nothing in between.

    python -m venv /tmp/servers
    /tmp/servers/bin/pip install uvicorn httptools uvloop granian hypercorn aiohttp numpy pillow prometheus_client
    /tmp/servers/bin/python bench/server_libraries.py

The last is our own service, with stand-ins for the decoder and the model that take no time: when it answers, and
when it refuses. CPU time of the server's processes: what else the machine does changes it less than the wall's.
Rounds are interleaved; the median is printed, and its ratio to the first.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

BODY: Final = os.urandom(100_000)
ANSWER: Final = json.dumps([[label / 7 for label in range(133)]]).encode()
ENDS: Final = (b"]]", b"}}")  # of an answer, and of a refusal
WARM: Final = 50
REQUESTS: Final = 900  # hypercorn closes a connection after 1,000
ROUNDS: Final = 5
SERVERS: Final = {
    "uvicorn, h11, asyncio": "uvicorn",
    "uvicorn, h11, uvloop": "uvicorn",
    "uvicorn, httptools, asyncio": "uvicorn",
    "uvicorn, httptools, uvloop": "uvicorn",
    "hypercorn, asyncio": "hypercorn",
    "granian, asgi, uvloop": "granian",
    "aiohttp, asyncio": "aiohttp",
    "aiohttp, uvloop": "aiohttp",
    "Kennel, answers": "prometheus_client",
    "Kennel, refusals": "prometheus_client",
}

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    assert len(body) == len(BODY)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


def serve(name: str, port: int) -> None:
    library, *parts = name.split(", ")
    loop = parts[-1]
    if library == "uvicorn":
        import uvicorn

        uvicorn.run(
            app, port=port, http=parts[0], loop=loop, log_config=None, access_log=False, lifespan="off"
        )
    elif library == "hypercorn":
        from hypercorn.__main__ import main  # type: ignore[import-not-found]

        main(["--bind", f"127.0.0.1:{port}", "--worker-class", loop, "server_libraries:app"])
    elif library == "granian":
        from granian import Granian  # type: ignore[import-not-found]
        from granian.constants import Interfaces, Loops  # type: ignore[import-not-found]

        Granian(
            "server_libraries:app", port=port, interface=Interfaces.ASGI, loop=Loops.uvloop, log_enabled=False
        ).serve()
    elif library == "aiohttp":
        _serve_aiohttp(port, loop)
    else:
        _serve_kennel(port, refusing=loop == "refusals")


def _serve_kennel(port: int, *, refusing: bool) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import numpy as np

    from ml.serving import handlers, logs, place, worker
    from ml.serving.metrics import Metrics
    from ml.serving.server import Service
    from ml.serving.settings import Settings

    class Engine:
        concurrency = max_batch = 1
        classes = ("a",) * 133
        preprocessing = SimpleNamespace(decoded_side=None, pixels=lambda _: np.zeros((224, 224, 3), np.uint8))
        _logits = np.arange(133, dtype=np.float32)[None] / 7

        def infer(self, _: object) -> Any:
            return self._logits

    handlers.decode_image = lambda *_: None  # type: ignore[assignment]
    logs.configure()
    # With a queue that is always full, everybody is refused.
    settings = Settings(max_queue=0 if refusing else 256)
    listener = socket.create_server(("127.0.0.1", port)).detach()
    near, far = socket.socketpair()
    own = place.Place(0, os.getppid(), listener, channel=far.detach())
    with near, tempfile.TemporaryDirectory() as metrics, contextlib.suppress(KeyboardInterrupt):
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics
        service = Service(settings, Engine(), Metrics(0))  # type: ignore[arg-type]
        worker._Server(service, own, {}).run([socket.socket(proto=socket.IPPROTO_TCP, fileno=listener)])


def _serve_aiohttp(port: int, loop: str) -> None:
    from aiohttp import web  # type: ignore[import-not-found]

    async def handle(request: web.Request) -> web.Response:
        assert len(await request.read()) == len(BODY)
        return web.Response(body=ANSWER, content_type="application/json")

    application = web.Application(client_max_size=2**24)
    application.router.add_post("/invocations", handle)
    if loop == "uvloop":
        import uvloop

        uvloop.install()
    web.run_app(application, host="127.0.0.1", port=port, access_log=None, print=None)


def cpu_seconds(group: int) -> float:
    """Of the processes of a group."""
    ticks = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            fields = file.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running(name: str, port: int) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, __file__, name, str(port)],
        cwd=os.path.dirname(os.path.abspath(__file__)),  # noqa: PTH100, PTH120
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            assert time.monotonic() < deadline, f"{name} does not listen"
            time.sleep(0.05)
        yield process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def ask(port: int, requests: int) -> None:
    head = f"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: {len(BODY)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(requests):
            connection.sendall(head.encode() + BODY)
            answer = b""
            while not answer.endswith(ENDS):
                received = connection.recv(65536)
                assert received, "the server closed the connection"
                answer += received


def measure(name: str, port: int) -> float:
    """CPU microseconds a request, once it is warm."""
    with running(name, port) as group:
        ask(port, WARM)
        before = cpu_seconds(group)
        ask(port, REQUESTS)
        return (cpu_seconds(group) - before) / REQUESTS * 1e6


def main() -> None:
    servers = [name for name, module in SERVERS.items() if importlib.util.find_spec(module)]
    samples: dict[str, list[float]] = {name: [] for name in servers}
    for round_number in range(ROUNDS):
        for number, name in enumerate(servers):
            samples[name].append(measure(name, 18300 + 10 * round_number + number))
    first = statistics.median(samples[servers[0]])
    for name in servers:
        middle = statistics.median(samples[name])
        print(f"{name:32} {middle:6.0f} µs a request  {middle / first:5.2f}")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        serve(sys.argv[1], int(sys.argv[2]))
    else:
        main()
