"""A tiny model directory in the layout of model.tar.gz, and the real server started from it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import torch
from safetensors.torch import save_file

from ml import artifact
from ml.serving.images import decode
from ml.serving.network import HeadSpec, NetworkSpec
from ml.serving.network import build as build_network
from ml.serving.preprocessing import Preprocessing
from tests.ml.serving.samples import encode, photo

CLASSES = ["001.Affenpinscher", "002.Beagle", "003.Dalmatian"]
BACKBONE = "timm/test_efficientnet"
CROP = 64


def write_run(directory: Path) -> None:
    """What training leaves for packing, with a network that nobody trained."""
    torch.manual_seed(1)
    spec = NetworkSpec(BACKBONE, HeadSpec(), len(CLASSES))
    network = build_network(spec)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    network.train()(torch.randn(16, 3, CROP, CROP))  # sets the batch statistics, or all scores would be 0
    network.eval()

    preprocessing = Preprocessing(CROP + 8, CROP, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    golden = encode(photo())
    with torch.inference_mode():
        pixels = torch.from_numpy(preprocessing.apply(decode(golden)))
        probabilities = network(pixels[None]).softmax(-1)[0]
    label = int(probabilities.argmax())
    manifest = {
        "format": artifact.FORMAT,
        "classes": CLASSES,
        "network": spec.to_dict(),
        "preprocessing": preprocessing.to_dict(),
        "engine": {"precision": "f32", "tolerance": 1e-3},
        "golden": {
            "file": "golden.png",
            "label": label,
            "probability": float(probabilities[label]),
            "tolerance": 0.02,
        },
    }
    directory.mkdir()
    (directory / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (directory / "golden.png").write_bytes(golden)
    save_file(network.state_dict(), directory / "best.safetensors")


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked model.tar.gz where SageMaker would put it, <base>/model. Shared: not to be changed."""
    run = tmp_path_factory.mktemp("run") / "tiny"
    write_run(run)
    archive, _ = artifact.build(run)
    with artifact.unpacked(archive) as folder:
        return Path(shutil.copytree(folder, tmp_path_factory.mktemp("ml") / "model"))


@pytest.fixture
def own_model_dir(model_dir: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(model_dir, tmp_path / "ml" / "model"))


@dataclass
class RunningServer:
    process: subprocess.Popen[str]
    port: int
    lines: list[str] = field(default_factory=list)  # of the log

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def workers(self) -> list[int]:
        """Process ids of the workers that became ready, by age."""
        return [int(str(event["pid"])) for event in self.events("ready")]

    def resident_bytes(self) -> int:
        pages = Path(f"/proc/{self.workers()[-1]}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def peak_resident_bytes(self) -> int:
        status = Path(f"/proc/{self.workers()[-1]}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.workers()[-1]}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def events(self, name: str) -> list[dict[str, object]]:
        return [line for line in map(json.loads, list(self.lines)) if line["event"] == name]


def server_process(model_dir: Path, **environment: str) -> subprocess.Popen[str]:
    """`python -m serving`, as a container starts it; it sees nothing of this repository."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "serving"],
        cwd=model_dir,
        env={
            **kept,
            "PYTHONPATH": str(model_dir / "code"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "error::ResourceWarning",
            "SAGEMAKER_BASE_DIR": str(model_dir.parent),
            "SAGEMAKER_BIND_TO_PORT": "0",
            "KENNEL_HOST": "127.0.0.1",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def running_server(model_dir: Path, **environment: str) -> Iterator[RunningServer]:
    """Yields when /ping is 200; stops the server with SIGTERM and expects a clean end."""
    process = server_process(model_dir, **environment)
    assert process.stdout is not None
    assert process.stderr is not None
    server = RunningServer(process, 0)
    ready = threading.Event()

    def follow() -> None:
        for line in process.stdout or ():
            server.lines.append(line)
            if json.loads(line)["event"] == "ready":
                ready.set()
        ready.set()

    reader = threading.Thread(target=follow)
    reader.start()
    try:
        assert ready.wait(60), "the server neither became ready nor ended in 60 s"
        if not server.events("ready"):
            pytest.fail(f"the server ended: {process.stderr.read()}")
        server.port = int(str(server.events("listening")[0]["port"]))
        yield server
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
    finally:
        process.kill()
        process.wait()
        reader.join()
        errors = process.stderr.read()
        process.stdout.close()
        process.stderr.close()
    assert errors == ""


@pytest.fixture(scope="session")
def server(model_dir: Path) -> Iterator[RunningServer]:
    with running_server(model_dir) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


Start = Callable[..., contextlib.AbstractContextManager[RunningServer]]


@pytest.fixture
def start_server() -> Start:
    return running_server
