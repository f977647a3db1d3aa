"""What the serving image holds is enough: the server runs on it, and on nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from ops import image_lock


def locked() -> dict[str, str]:
    return image_lock.pins(image_lock.LOCK)


def test_everything_that_serving_imports_is_in_the_image() -> None:
    missing = image_lock.of_serving() - locked().keys()
    assert missing == set(), "./inv image --lock, and commit what it writes"


def test_the_image_has_the_versions_that_the_project_is_tested_with() -> None:
    known = image_lock.pins()
    assert {name: known.get(name) for name in locked()} == locked(), "./inv image --lock"


def test_no_training_package_is_in_the_image() -> None:
    assert locked().keys() & image_lock.FALLBACK == set()


def test_every_package_of_the_image_is_known_by_its_hash() -> None:
    for entry in re.split(r"\n(?=\S)", image_lock.LOCK.read_text()):
        if not entry.startswith("#"):
            assert "--hash=sha256:" in entry


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment as the Dockerfile makes it, for this machine's Python; hashes are those of the image's."""
    folder = tmp_path_factory.mktemp("image") / "kennel"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    pins = [f"{name}=={version}" for name, version in locked().items()]
    subprocess.run([*pip, "install", "-q", "--no-deps", "--only-binary", ":all:", *pins], check=True)
    subprocess.run([*pip, "check"], check=True)
    return python


@pytest.mark.long
def test_the_server_answers_right_with_these_packages_alone(python: Path, model_dir: Path) -> None:
    environment = {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "PYTHONPATH": str(model_dir / "code"),
        "SAGEMAKER_BASE_DIR": str(model_dir.parent),
        "SAGEMAKER_BIND_TO_PORT": "0",
        "KENNEL_HOST": "127.0.0.1",
    }
    with subprocess.Popen(
        [python, "-I", "-c", "import torch"], stderr=subprocess.DEVNULL, env=environment
    ) as absent:
        assert absent.wait(60) != 0
    golden = json.loads((model_dir / "manifest.json").read_text())["golden"]
    server = subprocess.Popen(
        ["python", "-m", "serving"], cwd=python.parent, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        lines: list[dict[str, Any]] = []
        for text in server.stdout:
            lines.append(json.loads(text))
            if lines[-1]["event"] == "ready":
                break
        else:
            pytest.fail(f"the server ended: {lines}")
        port = next(line["port"] for line in lines if line["event"] == "listening")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            assert client.get("/ping").status_code == 200
            answer = client.post(
                "/invocations",
                content=(model_dir / golden["file"]).read_bytes(),
                headers={"Content-Type": "image/png"},
            )
        assert answer.status_code == 200
        (scores,) = answer.json()
        assert max(range(len(scores)), key=scores.__getitem__) == golden["label"]
    finally:
        server.terminate()
        server.communicate(timeout=60)
