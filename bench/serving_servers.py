"""The servers of the serving benchmark: each a process group of its own on a free port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(__file__).parent
START = 180.0  # seconds at most, until a server answers
STOP = 15.0  # seconds until SIGKILL


@dataclass
class Server:
    """How to start one, and where it answers. `{port}` in command and environment is its port."""

    name: str
    path: str
    command: list[str]
    environment: dict[str, str]
    folder: Path
    ports: int = 1  # that it takes, one after the other
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    def start(self, photo: bytes) -> None:
        """Returns when it has answered a photo."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port(self.ports)
        places = {f"port{number or ''}": str(self.port + number) for number in range(self.ports)}

        def filled(text: str) -> str:
            for name, value in places.items():
                text = text.replace(f"{{{name}}}", value)
            return text

        for file in self.folder.glob("*.template"):
            file.with_suffix("").write_text(filled(file.read_text()))
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("KENNEL_", "SAGEMAKER_"))
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [filled(part) for part in self.command],
                cwd=self.folder,
                env=kept | {name: filled(value) for name, value in self.environment.items()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START
        last = "nothing"
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.ask(photo)
            except (OSError, ValueError) as error:
                last = str(error)
                time.sleep(0.2)
            else:
                return
        said = self.log.read_text(errors="replace")[-3000:]
        self.stop()
        raise SystemExit(f"{self.name} does not answer: {last}\n{said}")

    def ask(self, photo: bytes) -> bytes:
        address = f"http://127.0.0.1:{self.port}{self.path}"
        request = urllib.request.Request(address, photo, {"Content-Type": "image/jpeg"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: bytes = response.read()
            return answer

    def stop(self) -> None:
        """End the whole group."""
        if self.process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            deadline = time.monotonic() + STOP
            while time.monotonic() < deadline and _group_lives(self.process):
                time.sleep(0.05)
        self.process.wait()
        self.process = None


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def free_port(count: int) -> int:
    """The first of so many free ports in a row."""
    while True:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                for number in range(1, count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port + number))
            except (OSError, OverflowError):
                continue
            return port


def kennel(model_dir: Path, folder: Path) -> Server:
    """The server in the archive, with nothing but the archive's code."""
    environment = {
        "PYTHONPATH": str(model_dir / "code"),
        "SAGEMAKER_BASE_DIR": str(model_dir.parent),
        "SAGEMAKER_BIND_TO_PORT": "{port}",
        "KENNEL_HOST": "127.0.0.1",
    }
    return Server("Kennel", "/invocations", [sys.executable, "-m", "serving"], environment, folder)


def peers(python: Path, weights: Path, folder: Path) -> list[Server]:
    """The replaced handler under each, with two workers of one thread and with the threads that PyTorch takes."""
    one = {"PEER_THREADS": "1", "OMP_NUM_THREADS": "1"}
    found = []
    for how, workers, environment in (("2 × 1 thread", 2, one), ("default threads", 1, {})):
        found += [
            _torchserve(python, weights, folder / f"torchserve-{workers}", how, 2, environment),
            Server(
                f"LitServe, {how}",
                "/predict",
                [
                    str(python),
                    str(BENCH / "peers" / "litserve_app.py"),
                    str(weights.parent),
                    "{port}",
                    str(workers),
                ],
                {"PYTHONPATH": str(BENCH), **environment},
                folder / f"litserve-{workers}",
            ),
            Server(
                f"BentoML, {how}",
                "/classify",
                [
                    str(python),
                    "-m",
                    "bentoml",
                    "serve",
                    "bentoml_app:Replaced",
                    "--host",
                    "127.0.0.1",
                    "--port",
                    "{port}",
                    "--working-dir",
                    str(BENCH / "peers"),
                ],
                {
                    "PYTHONPATH": str(BENCH),
                    "PEER_MODEL_DIR": str(weights.parent),
                    "PEER_WORKERS": str(workers),
                    "BENTOML_HOME": str(folder / f"bentoml-{workers}" / "home"),
                    "BENTOML_DO_NOT_TRACK": "True",
                    **environment,
                },
                folder / f"bentoml-{workers}",
            ),
        ]
    return found


def _torchserve(
    python: Path, weights: Path, folder: Path, how: str, workers: int, environment: Mapping[str, str]
) -> Server:
    store = folder / "store"
    store.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            str(python.with_name("torch-model-archiver")), "--model-name", "replaced", "--version", "1",
            "--handler", str(BENCH / "peers" / "torchserve_handler.py"),
            "--extra-files", f"{BENCH / 'replaced_handler.py'},{weights}",
            "--export-path", str(store), "--archive-format", "no-archive", "--force",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "config.properties.template").write_text(
        "\n".join(
            [
                "inference_address=http://127.0.0.1:{port}",
                "management_address=http://127.0.0.1:{port1}",
                "metrics_address=http://127.0.0.1:{port2}",
                "grpc_inference_port={port3}",
                "grpc_management_port={port4}",
                "disable_token_authorization=true",
                f"default_workers_per_model={workers}",
                "default_response_timeout=120",
                "job_queue_size=1000",
                f"model_store={store}",
                "load_models=replaced",
                "disable_system_metrics=true",
            ]
        )
        + "\n"
    )
    command = [str(python.with_name("torchserve")), "--start", "--foreground", "--no-config-snapshots"]
    return Server(
        f"TorchServe, {how}",
        "/predictions/replaced",
        [*command, "--ts-config", "config.properties", "--disable-token-auth"],
        {"LOG_LOCATION": str(folder), "METRICS_LOCATION": str(folder), "PATH": f"{python.parent}:{os.environ['PATH']}",
         "TEMP": str(folder), **environment},
        folder,
        ports=5,
    )  # fmt: skip
