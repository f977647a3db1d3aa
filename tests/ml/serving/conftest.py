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
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.ml.serving.samples import encode, photo

REPOSITORY = Path(__file__).parents[3]
CLASSES = ["001.Affenpinscher", "002.Beagle", "003.Dalmatian"]
BACKBONE = "timm/test_efficientnet"
CROP = 64


def build_model_dir(directory: Path) -> None:
    import openvino
    import torch
    from safetensors.torch import save_file

    from ml.serving.images import decode
    from ml.serving.network import HeadSpec, NetworkSpec, build
    from ml.serving.preprocessing import Preprocessing

    torch.manual_seed(1)
    spec = NetworkSpec(BACKBONE, HeadSpec(), len(CLASSES))
    network = build(spec)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    network.train()(torch.randn(16, 3, CROP, CROP))  # sets the batch statistics, or all scores would be 0
    network.eval()
    preprocessing = Preprocessing(CROP + 8, CROP, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    golden = encode(photo())
    images = torch.from_numpy(preprocessing.apply(decode(golden)))[None]
    with torch.inference_mode():
        probabilities = network(images).softmax(-1)[0]
    label = int(probabilities.argmax())

    directory.mkdir(parents=True)
    save_file(network.state_dict(), directory / "model.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = openvino.convert_model(
            network, example_input=images, input=[("images", [-1, 3, CROP, CROP], np.float32)]
        )
    openvino.save_model(graph, directory / "model.xml", compress_to_fp16=False)
    (directory / "golden.png").write_bytes(golden)
    manifest = {
        "format": 1,
        "classes": CLASSES,
        "network": spec.to_dict(),
        "preprocessing": preprocessing.to_dict(),
        "engine": {"precision": "f32"},
        "golden": {"file": "golden.png", "label": label, "probability": float(probabilities[label])},
    }
    (directory / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    code = directory / "code"
    shutil.copytree(
        REPOSITORY / "ml" / "serving", code / "serving", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(REPOSITORY / "ml" / "serving" / "inference.py", code)
    shutil.copy(REPOSITORY / "lambda" / "guarded_fetch.py", code)


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared: not to be changed. Lies where SageMaker would put it, <base>/model."""
    directory = tmp_path_factory.mktemp("ml") / "model"
    build_model_dir(directory)
    return directory


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

    def resident_bytes(self) -> int:
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def peak_resident_bytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def events(self, name: str) -> list[dict[str, object]]:
        return [line for line in map(json.loads, list(self.lines)) if line["event"] == name]


def server_process(model_dir: Path, **environment: str) -> subprocess.Popen[str]:
    """`python -m serving`, as a container starts it; it sees nothing of this repository."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-W", "error::ResourceWarning", "-m", "serving"],
        cwd=model_dir,
        env={
            **kept,
            "PYTHONPATH": str(model_dir / "code"),
            "PYTHONDONTWRITEBYTECODE": "1",
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
