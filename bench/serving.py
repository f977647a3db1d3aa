"""The server of an archive, against the handler that it replaces under TorchServe, LitServe and BentoML.

    python -m bench.serving --data dogImages --peers PEERS/bin/python [--rounds 3] [--work FOLDER] [--write]

ResNet-50 at 224, JPEGs of 100 kB over HTTP, 1, 8 and 32 clients in a closed loop on connections that stay. All
servers have the same weights: random ones of a fixed seed, whose batch norms were set on photos, and a trained head.
Ours is the archive that training packs, in the precision that packaging chose, served by the code in it. The replaced
handler (bench/replaced_handler.py) is served with two workers of one thread, and with the threads that PyTorch takes
by itself: the better of the two counts. Servers take turns in every round, so that a busy machine slows all; the load
is a process of its own. In every round the archive's engine and decoder are measured by themselves, too:
1 / (1 / forward + 1 / decode) is what no server that does both on this machine can exceed.

The peers have a virtual environment of their own, and TorchServe needs Java 11 or newer:

    python -m venv PEERS
    PEERS/bin/pip install litserve==0.2.19 bentoml==1.4.39 torchserve==0.12.0 torch-model-archiver==0.12.0 \\
        torch==2.15.0 torchvision==0.29.2

`--work` keeps weights and archive for the next time. `--write` puts table and picture into docs/benchmarks.md.
Exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import io
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file

from bench import serving_report, serving_servers, weights
from bench.replaced_handler import WEIGHTS
from ml.artifact import ARCHIVE, unpacked
from ml.config import TrainConfig
from ml.data import load_dataset
from ml.serving.images import decode
from ml.train import train

ROOT = Path(__file__).parents[1]
CLIENTS = {1: 3.5, 8: 6.5, 32: 7.0}  # and so many times the requests/s of the best peer are to be reached
OF_CEILING = {8: 0.85, 32: 0.85}  # share of the ceiling that is to be reached
WARM = 1.0  # seconds of load before each measurement
PHOTOS, PHOTO_BYTES, PHOTO_SIDE = 32, 100_000, 480  # pixels of the shorter side


@dataclass
class Measured:
    """A server at a number of clients, a value a round."""

    rates: list[float] = field(default_factory=list)  # requests/s
    latencies: list[float] = field(default_factory=list)  # ms, of all rounds
    client_share: list[float] = field(default_factory=list)  # of a processor
    failed: int = 0

    def to_dict(self) -> dict[str, Any]:
        ordered = sorted(self.latencies)
        return {
            "rates": self.rates,
            "rate": statistics.median(self.rates),
            "p50": ordered[len(ordered) // 2],
            "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
            "answers": len(ordered),
            "client_share": statistics.median(self.client_share),
            "failed": self.failed,
        }


def photos(data: Path, folder: Path) -> list[Path]:
    """Test photos as JPEGs of 100 kB, as near as the encoder's quality comes to it."""
    folder.mkdir(parents=True, exist_ok=True)
    found = sorted(path for path in (data / "test").rglob("*") if path.is_file())
    made: list[Path] = []
    for source in found[:: max(1, len(found) // PHOTOS)][:PHOTOS]:
        image = decode(source.read_bytes())
        scale = PHOTO_SIDE / min(image.size)
        width, height = (round(side * scale) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        qualities = {quality: _jpeg(image, quality) for quality in range(50, 100)}
        path = folder / f"{len(made):02}.jpg"
        path.write_bytes(min(qualities.values(), key=lambda jpeg: abs(len(jpeg) - PHOTO_BYTES)))
        made.append(path)
    return made


def _jpeg(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def prepare(data: Path, folder: Path) -> Path:
    """The archive, and the replaced handler's weights beside it; made once."""
    archive, theirs = folder / ARCHIVE, folder / "replaced" / WEIGHTS
    if not archive.is_file():
        dataset = load_dataset(str(data), seed=0, work_dir=folder / "check", progress=False)
        file = weights.file_of(weights.RESNET, folder / "weights", dataset)
        config = TrainConfig(
            data=str(data), backbone=weights.RESNET, weights=str(file), head="two-layer", epochs=5
        )
        run = train(config, runs_dir=folder / "runs", work_dir=folder / "train", progress=False)
        assert run is not None
        run.archive.replace(archive)
    if not theirs.is_file():
        theirs.parent.mkdir(exist_ok=True)
        with unpacked(archive) as model:
            state = load_file(model / "model.safetensors")
        renamed = {
            name.replace("head.", "fc.", 1).removeprefix("backbone."): value for name, value in state.items()
        }
        torch.save(renamed, theirs)
    return archive


class Bench:
    """One comparison: the servers run all the time, and are asked in turn."""

    def __init__(self, arguments: argparse.Namespace, folder: Path, model_dir: Path) -> None:
        self.arguments = arguments
        self.model_dir = model_dir
        self.photos = photos(arguments.data, folder / "photos")
        self.servers = [serving_servers.kennel(model_dir, folder / "kennel")]
        if arguments.peers:
            theirs = folder / "replaced" / WEIGHTS
            self.servers += serving_servers.peers(arguments.peers, theirs, folder / "peers")
        self.measured = {(server.name, clients): Measured() for server in self.servers for clients in CLIENTS}
        self.ceilings: list[dict[str, Any]] = []
        self.loads: list[float] = []

    def run(self) -> None:
        with contextlib.ExitStack() as stack:
            for server in self.servers:
                stack.callback(server.stop)
                server.start(self.photos[0].read_bytes())
                self._say(f"{server.name} answers")
            for number in range(self.arguments.rounds):
                self._ceiling()
                for clients in CLIENTS:
                    turn = number % len(self.servers)
                    for server in self.servers[turn:] + self.servers[:turn]:
                        self._measure(server, clients)

    def _say(self, text: str) -> None:
        self.loads.append(os.getloadavg()[0])
        print(f"load {self.loads[-1]:5.2f}  {text}", flush=True)

    def _measure(self, server: serving_servers.Server, clients: int) -> None:
        self._load(server, clients, WARM)
        answer = self._load(server, clients, self.arguments.seconds)
        if answer["failed"]:
            self._say(f"{server.name}: {answer['failed']} failed: {answer['last_failure']}")
        found = self.measured[server.name, clients]
        found.rates.append((answer["requests"] - answer["failed"]) / answer["seconds"])
        found.latencies += answer["latencies_ms"]
        found.client_share.append(answer["cpu_seconds"] / answer["seconds"])
        found.failed += answer["failed"]
        self._say(f"{server.name}, {clients} clients: {found.rates[-1]:.1f} requests/s")

    def _load(self, server: serving_servers.Server, clients: int, seconds: float) -> dict[str, Any]:
        return _process(
            "serving_client.py", f"--port={server.port}", f"--path={server.path}", f"--clients={clients}",
            f"--seconds={seconds}", *map(str, self.photos),
        )  # fmt: skip

    def _ceiling(self) -> None:
        seconds = str(min(3.0, self.arguments.seconds))
        search_path = {"PYTHONPATH": str(self.model_dir / "code")}
        found = _process(
            "serving_ceiling.py",
            str(self.model_dir),
            seconds,
            *map(str, self.photos),
            environment=search_path,
        )
        found["rate"] = 1 / (1 / found["forward"] + 1 / found["decode"])
        self.ceilings.append(found)
        shares = f"forward {found['forward']:.1f}, decode {found['decode']:.1f}, both {found['rate']:.1f}"
        self._say(f"by themselves: {shares} images/s")

    def result(self) -> dict[str, Any]:
        """All that was measured, and what it comes to."""
        arguments = self.arguments
        ceiling = {
            key: statistics.median(each[key] for each in self.ceilings)
            for key in ("forward", "decode", "rate")
        }
        sizes = [photo.stat().st_size for photo in self.photos]
        return {
            "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
            "machine": f"{platform.system()}, {platform.machine()}, {os.cpu_count()} cores",
            "versions": _versions(arguments.peers),
            "load": [round(load, 2) for load in self.loads],
            "precision": self.ceilings[0]["precision"],
            "concurrency": self.ceilings[0]["concurrency"],
            "max_batch": self.ceilings[0]["max_batch"],
            "photos": len(sizes),
            "photo_bytes": round(statistics.mean(sizes)),
            "rounds": arguments.rounds,
            "seconds": arguments.seconds,
            "ceiling": ceiling | {"rounds": self.ceilings},
            "clients": [
                summary(
                    clients,
                    {s.name: self.measured[s.name, clients].to_dict() for s in self.servers},
                    ceiling["rate"],
                )
                for clients in CLIENTS
            ],
        }


def summary(clients: int, servers: dict[str, dict[str, Any]], ceiling: float) -> dict[str, Any]:
    """The servers at so many clients, and ours against the best of the others."""
    ours = servers["Kennel"]
    others = {name: each for name, each in servers.items() if name != "Kennel"}
    best = max(others, key=lambda name: float(others[name]["rate"])) if others else None
    return {
        "clients": clients,
        "servers": servers,
        "best_peer": best,
        "ratio": ours["rate"] / others[best]["rate"] if best else None,
        "ratio_target": CLIENTS[clients],
        "lowest_peer_p99": min((each["p99"] for each in others.values()), default=None),
        "of_ceiling": ours["rate"] / ceiling,
        "of_ceiling_target": OF_CEILING.get(clients),
    }


def targets_met(result: dict[str, Any]) -> bool:
    """With peers only: without them there is no ratio."""
    return all(
        each["ratio"] is not None
        and each["ratio"] >= each["ratio_target"]
        and each["servers"]["Kennel"]["p99"] < each["lowest_peer_p99"]
        and each["of_ceiling"] >= (each["of_ceiling_target"] or 0)
        and not any(server["failed"] for server in each["servers"].values())
        for each in result["clients"]
    )


def _process(program: str, *arguments: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    done = subprocess.run(
        # -P: `serving` is the archive's package, and not the module of this folder.
        [sys.executable, "-P", str(ROOT / "bench" / program), *arguments], env={**os.environ, **(environment or {})},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"{program} failed:\n{done.stderr[-3000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _versions(peers: Path | None) -> dict[str, str]:
    code = "import json, sys; from importlib.metadata import version as of; "
    code += "print(json.dumps({name: of(name) for name in sys.argv[1:]}))"
    found: dict[str, str] = {}
    for python, names in (
        (Path(sys.executable), ["openvino", "pillow"]),
        (peers, ["torch", "torchvision", "torchserve", "litserve", "bentoml"]),
    ):
        if python:
            done = subprocess.run(
                [str(python), "-c", code, *names], capture_output=True, text=True, check=True
            )
            found |= json.loads(done.stdout)
    return found


def _give_up(number: int, _: object) -> None:
    raise SystemExit(f"Ended by {signal.Signals(number).name}; all servers are ended, too.")


def arguments_of(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of train, valid and test")
    parser.add_argument(
        "--peers", type=Path, help="the Python of the peers' environment; without it Kennel alone"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4, help="of each server at each number of clients")
    parser.add_argument("--limit", type=int, default=1800, help="seconds, after which it gives up")
    parser.add_argument("--work", type=Path, help="folder that keeps weights and archive")
    parser.add_argument("--json", type=Path, help="file for all that was measured")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md and its picture")
    arguments = parser.parse_args(argv)
    arguments.data = arguments.data.resolve()
    if arguments.peers:
        arguments.peers = arguments.peers.absolute()  # not resolved: the link is what makes the environment
    return arguments


def main(argv: list[str] | None = None) -> int:
    arguments = arguments_of(argv)
    for number in (signal.SIGTERM, signal.SIGALRM):  # as exceptions, so that the servers are ended
        signal.signal(number, _give_up)
    signal.alarm(arguments.limit)
    with contextlib.ExitStack() as stack:
        folder = arguments.work or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="kennel-bench-"))
        )
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        archive = prepare(arguments.data, folder)
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kennel-bench-model-")))
        model_dir = base / "model"
        model_dir.symlink_to(stack.enter_context(unpacked(archive)))
        bench = Bench(arguments, folder, model_dir)
        bench.run()
        result = bench.result()
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(serving_report.table(result))
    if arguments.write:
        serving_report.write(result, ROOT / "docs")
    return 0 if targets_met(result) else 1


if __name__ == "__main__":
    sys.exit(main())
