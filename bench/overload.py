"""Five times as many requests as the server can answer, for a minute: what becomes of throughput, latency, memory.

    python -m bench.overload model.tar.gz [photo.jpg ...] [--seconds 60] [--deadline 2]

The server is the one in the archive, started as a container starts it. The client is this process: first in a closed
loop, for the peak, then at five times the peak whether the requests before have been answered or not, then at once at
half of it. Server and client have processors of their own where there are two, so that the client takes nothing from
the server; what it costs is told. So is what an answer costs the server in processor time, at the peak and under
overload: that ratio holds even where other programs keep the machine busy. Exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import io
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from bench import serving_client, serving_servers
from bench.overload_client import Answer, Client
from ml.artifact import unpacked

OVERLOAD: Final = 5  # times the peak
CONNECTIONS: Final = 400
PEAK_SECONDS: Final = 10.0
USERS: Final = 4  # for each processor of the server, at the peak
THROUGHPUT: Final = 0.9  # of the peak, at least
REFUSAL_SECONDS: Final = 0.25  # for 99 of 100, at most
MEMORY: Final = 1.1  # times that after a fifth of the time, at most
BACK_SECONDS: Final = 5.0  # until the last refusal after the overload


@dataclasses.dataclass
class Usage:
    """Of the supervisor and its worker."""

    pids: list[int]

    def cpu_seconds(self) -> float:
        ticks = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident(self) -> list[int]:
        """Bytes of each."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids]
        return [count * os.sysconf("SC_PAGE_SIZE") for count in pages]


async def measure(client: Client, usage: Usage, users: int, seconds: float, deadline: float) -> bool:
    await client.connect(users)
    await client.closed_loop(users, 3)
    cpu, own = usage.cpu_seconds(), time.process_time()
    answers = await client.closed_loop(users, PEAK_SECONDS)
    peak = len(answers) / PEAK_SECONDS
    answer_cpu = (usage.cpu_seconds() - cpu) / len(answers)
    client_share = (time.process_time() - own) / PEAK_SECONDS
    assert {answer.status for answer in answers} == {200}, "the peak was refused"
    print(f"peak                             {peak:8.1f} requests/s, {1000 * answer_cpu:.2f} ms of CPU each")
    print(f"latency at the peak              {_quantiles([answer.seconds for answer in answers])}")
    print(f"client at the peak               {client_share:8.2f} processors")

    await client.connect(CONNECTIONS)
    before: list[int] = []
    highest = 0
    began, cpu, own = time.monotonic(), usage.cpu_seconds(), time.process_time()
    overload = asyncio.create_task(client.open_loop(OVERLOAD * peak, seconds))
    while not overload.done():
        if not before and time.monotonic() - began > seconds / 5:
            before = usage.resident()
        highest = max(highest, sum(usage.resident()))
        await asyncio.sleep(0.5)
    took, cpu, own = time.monotonic() - began, usage.cpu_seconds() - cpu, time.process_time() - own
    sent, unsent = await overload, client.unsent
    answered = [each for each in sent if each.status == 200]
    # Whoever was under way at the end is answered in the next phase, and belongs to this one all the same.
    ended = time.monotonic()
    after = await client.open_loop(peak / 2, 10)
    await client.rest()
    sent += [each for each in after if each.due < ended]
    after = [each for each in after if each.due >= ended]

    accepted = [each.seconds for each in sent if each.status == 200]
    refused = [each.seconds for each in sent if each.status == 503]
    others = len(sent) - len(accepted) - len(refused)
    late = sum(each > deadline for each in accepted)
    throughput = len(answered) / took / peak
    efficiency = answer_cpu * len(answered) / cpu
    growth = highest / sum(before)
    back = max([each.due + each.seconds - ended for each in after if each.status != 200], default=0.0)
    supervisor, worker = (round(part / 1e6) for part in usage.resident())
    print(f"sent, to the peak                {len(sent) / took / peak:8.2f}   (unsent: {unsent})")
    print(f"answered, to the peak            {throughput:8.2f}")
    print(f"answered a CPU second, to it     {efficiency:8.2f}")
    print(f"client                           {own / took:8.2f} processors")
    print(f"latency of the accepted          {_quantiles(accepted)}; {late} of {len(accepted)} late")
    print(f"latency of the refused           {_quantiles(refused)}; {len(refused)}")
    print(f"neither                          {others:8}")
    print(
        f"memory, to that after a fifth    {growth:8.2f}   (supervisor {supervisor} MB, worker {worker} MB)"
    )
    print(f"last refusal after the overload  {back:8.2f} s")
    print(f"latency at half the peak then    {_quantiles(_settled(after, ended))}")
    return (
        throughput >= THROUGHPUT
        and late == others == 0
        and statistics.quantiles(refused, n=100)[98] <= REFUSAL_SECONDS
        and growth <= MEMORY
        and back <= BACK_SECONDS
    )


def _settled(answers: list[Answer], ended: float) -> list[float]:
    return [each.seconds for each in answers if each.due > ended + BACK_SECONDS]


def _quantiles(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return "    none"
    cuts = statistics.quantiles(seconds, n=100)
    return f"   p50 {cuts[49]:.3f} s, p99 {cuts[98]:.3f} s, longest {max(seconds):.3f} s"


def photo() -> bytes:
    """About 100 kB, as from a phone that scales down."""
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((640, 480)).save(file, "JPEG", quality=85)
    return file.getvalue()


def processors() -> tuple[set[int], set[int]]:
    """The server's, and the client's."""
    every = sorted(os.sched_getaffinity(0))
    half = len(every) // 2
    return (set(every[:half]), set(every[half:])) if half else (set(every), set(every))


def worker_pid(server: serving_servers.Server) -> int:
    lines = map(json.loads, server.log.read_text().splitlines())
    return next(int(line["pid"]) for line in lines if line["event"] == "ready")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path, help="model.tar.gz, or the folder into which it was unpacked")
    parser.add_argument("photos", type=Path, nargs="*")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--deadline", type=int, default=2, help="of an answer, in seconds")
    arguments = parser.parse_args()
    photos = [path.read_bytes() for path in arguments.photos] or [photo()]
    theirs, ours = processors()
    with contextlib.ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kennel-overload-")))
        packed = arguments.archive.is_file()
        folder = stack.enter_context(unpacked(arguments.archive)) if packed else arguments.archive.resolve()
        (base / "model").symlink_to(folder)
        server = serving_servers.kennel(base / "model", base / "server")
        server.environment |= {"KENNEL_DEADLINE_SECONDS": str(arguments.deadline), "KENNEL_WORKERS": "1"}
        stack.callback(server.stop)
        os.sched_setaffinity(0, theirs)
        server.start(photos[0])
        os.sched_setaffinity(0, ours)
        assert server.process is not None
        usage = Usage([server.process.pid, worker_pid(server)])
        requests = [serving_client.request(server.path, each) for each in photos]
        client = Client(server.port, requests)
        run = measure(client, usage, USERS * len(theirs), arguments.seconds, arguments.deadline)
        try:
            import uvloop
        except ImportError:
            met = asyncio.run(run)
        else:
            met = uvloop.run(run)
    print("all targets are met" if met else "a target is missed")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
