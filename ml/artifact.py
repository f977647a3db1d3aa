"""model.tar.gz: packed the same to the byte, and proven by its own code before it counts."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ml.errors import KennelError

FORMAT = 2
ARCHIVE = "model.tar.gz"
MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"
RUN_WEIGHTS = "best.safetensors"

_ROOT = Path(__file__).resolve().parents[1]
_REQUIRED = {MANIFEST, WEIGHTS, "model.xml", "model.bin", "code/inference.py", "code/guarded_fetch.py"}
_ALLOWED = re.compile(
    r"manifest\.json|model\.(safetensors|xml|bin)|golden\.(png|jpg)"
    r"|code/(inference|guarded_fetch)\.py|code/serving/[a-z_]+\.py"
)
_MAX_BYTES = 8 * 2**30  # unpacked
_MAX_MANIFEST_BYTES = 16 * 2**20
_TIMEOUT = 300  # seconds for the proof; imports take most of it

# Runs with nothing on the path but the archive's own code, in a process of its own.
_PROOF = """
import json, sys
import numpy as np
import inference
from serving.engine import Engine
from serving.images import decode

folder = sys.argv[1]
served = inference.model_fn(folder)
tolerance = served.manifest.tolerance
golden = served.manifest.golden
content = open(f"{folder}/{golden.file}", "rb").read()
image = inference.input_fn(content, "application/x-image")
scores = json.loads(inference.output_fn(inference.predict_fn(image, served), "application/json"))
assert np.argmax(scores, axis=1).tolist() == [golden.label], f"golden image answered with {scores}"
image = decode(content)
turned = [image, image.rotate(90), image.rotate(180)]
logits = [Engine.load(folder, kind).classify(turned) for kind in ("openvino", "torch")]
difference = float(np.abs(logits[0] - logits[1]).max() / max(1.0, np.abs(logits[1]).max()))
assert difference <= tolerance, f"the engines differ by {difference:.2g} of the largest score"
"""


class ArtifactError(KennelError):
    """An archive is not what it must be."""


def build(run_dir: Path, graph: Path | None = None) -> tuple[Path, str]:
    """Packs `run_dir`/model.tar.gz out of the run's manifest, weights and golden image; path and SHA-256.

    `graph` is the .xml to serve, with the .bin beside it; None: the weights' network in f32.
    """
    from safetensors.torch import load_file  # here: who only reads an archive need not wait for torch

    from ml import ir
    from ml.serving import network
    from ml.serving.preprocessing import Preprocessing

    manifest = json.loads((run_dir / MANIFEST).read_text("utf-8"))
    if not ir.available():
        raise ArtifactError("Packing needs OpenVINO", "it is not installed", "pip install openvino")
    with tempfile.TemporaryDirectory(prefix="kennel-pack-") as folder:
        if graph is None:
            model = network.build(network.NetworkSpec.from_dict(manifest["network"]))
            model.load_state_dict(load_file(run_dir / RUN_WEIGHTS))
            ir.write(model, Preprocessing.from_dict(manifest["preprocessing"]), Path(folder))
            graph = Path(folder, "model.xml")
        members = {
            MANIFEST: run_dir / MANIFEST,
            WEIGHTS: run_dir / RUN_WEIGHTS,
            "model.xml": graph,
            "model.bin": graph.with_suffix(".bin"),
            manifest["golden"]["file"]: run_dir / manifest["golden"]["file"],
            **serving_code(),
        }
        path = run_dir / ARCHIVE
        _pack(path, members)
    return path, sha256_of(path)


def serving_code() -> dict[str, Path]:
    """The code that goes into every archive: name in it, file here."""
    serving = _ROOT / "ml" / "serving"
    return {
        "code/inference.py": serving / "inference.py",
        "code/guarded_fetch.py": _ROOT / "lambda" / "guarded_fetch.py",
        **{
            f"code/serving/{file.name}": file
            for file in sorted(serving.glob("*.py"))
            if file.name != "inference.py"
        },
    }


def verify(archive: Path) -> dict[str, Any]:
    """Lets the archive's own code answer the golden image with both engines, in a fresh process.

    Returns the manifest; raises `ArtifactError`.
    """
    with unpacked(archive) as folder:
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("KENNEL_", "SAGEMAKER_", "PYTHON"))
        }
        environment["PYTHONPATH"] = str(folder / "code")
        try:
            proof = subprocess.run(
                [sys.executable, "-P", "-B", "-c", _PROOF, str(folder)],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ArtifactError(
                "A model must load and answer its golden image", f"no answer in {_TIMEOUT} s from {archive}"
            ) from error
        if proof.returncode != 0:
            raise ArtifactError(
                "A model must load and answer its golden image, with both engines and its own code",
                f"{archive}: {proof.stderr.strip()[-2000:]}",
                "train again; this archive must not be deployed",
            )
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        return manifest


def inspect(archive: Path) -> dict[str, Any]:
    """The manifest, without unpacking the rest."""
    with _open(archive) as tar:
        for member in tar:
            if member.name == MANIFEST:
                file = tar.extractfile(member) if member.size <= _MAX_MANIFEST_BYTES else None
                manifest = json.loads(file.read()) if file else None
                if isinstance(manifest, dict) and manifest.get("format") == FORMAT:
                    return manifest
                break
    raise ArtifactError(
        f"An archive must hold a {MANIFEST} of format {FORMAT}",
        str(archive),
        "name a model.tar.gz of this project",
    )


def repack(folder: Path, path: Path) -> str:
    """Packs what was an archive's content once more, the same to the byte; returns the SHA-256."""
    _pack(path, {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()})
    with _open(path) as tar:
        _check_members(path, tar.getmembers())
    return sha256_of(path)


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """The archive in a folder that lives as long as the context; refuses what does not belong into one."""
    with tempfile.TemporaryDirectory(prefix="kennel-model-") as folder:
        with _open(archive) as tar:
            members = tar.getmembers()
            _check_members(archive, members)
            tar.extractall(folder, members, filter="data")
        yield Path(folder)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pack(path: Path, members: dict[str, Path]) -> None:
    # Level 1: nearly all of it is floats, which do not get smaller.
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=raw, mtime=0) as packed,
        tarfile.open(mode="w", fileobj=packed, format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name in sorted(members):
            content = members[name].read_bytes()
            member = tarfile.TarInfo(name)  # time, owner and group are 0 by default
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))


@contextmanager
def _open(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive, "r:gz") as tar:
            yield tar
    except FileNotFoundError as error:
        raise ArtifactError("An archive must exist", str(archive), "run train, or check the path") from error
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise ArtifactError(
            "An archive must be a whole .tar.gz", f"{archive}: {error}", "copy or pack it again"
        ) from error


def _check_members(archive: Path, members: list[tarfile.TarInfo]) -> None:
    names = [member.name for member in members]
    odd = [member.name for member in members if not member.isreg() or not _ALLOWED.fullmatch(member.name)]
    missing = sorted(_REQUIRED - set(names))
    if odd or missing or len(set(names)) != len(names):
        problems = [f"odd: {', '.join(odd[:5])}"] if odd else []
        problems += [f"missing: {', '.join(missing)}"] if missing else []
        raise ArtifactError(
            "An archive must hold what a model consists of, each once and nothing else",
            f"{archive}: {'; '.join(problems) or 'a name twice'}",
            "pack it with this project",
        )
    if (total := sum(member.size for member in members)) > _MAX_BYTES:
        raise ArtifactError(
            f"An archive must unpack to at most {_MAX_BYTES:,} bytes", f"{total:,}", "use a smaller backbone"
        )
