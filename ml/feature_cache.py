"""Features on disk, each image's once, ever: found by what they were made of, checked when they are read.

A space holds the features of one backbone with one preprocessing; it is a folder of shards. (A quantized backbone
lies in a folder of its own, in the same way.) A shard is a
safetensors file of up to `SHARD_ROWS` images and bears the SHA-256 of its bytes as its name: it is written
aside and renamed, so that a killed run leaves nothing half, and a damaged one is found out and thrown away.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load, save

SHARD_ROWS = 256
_WRITING = 3600  # seconds, after which a file aside is what a killed run left
Features = NDArray[np.float32]  # [D], of one image
Graph = tuple[bytes, bytes]  # a network as OpenVINO has it in files, .xml and .bin


class FeatureCache:
    """Safe for several processes at once: the images of a shard that another one evicts are done again."""

    def __init__(self, folder: Path, *, limit: int) -> None:
        self.folder = folder
        self.limit = limit  # bytes

    def read(self, space: str, wanted: Iterable[str]) -> dict[str, Features]:
        """What is there of the images whose SHA-256 is `wanted`."""
        missing = set(wanted)
        found: dict[str, Features] = {}
        for shard in sorted((self.folder / space).glob("*.safetensors")):
            if not missing:
                break
            rows = _read_shard(shard, missing)
            found.update(rows)
            missing.difference_update(rows)
        return found

    def write(self, space: str, rows: Mapping[str, Features]) -> None:
        if rows:
            content = save({"features": np.stack(list(rows.values()))}, {"images": json.dumps(list(rows))})
            self._write(space, content)

    def read_graph(self, name: str) -> Graph | None:
        """The quantized backbone of that name."""
        for path in (self.folder / name).glob("*.safetensors"):
            with contextlib.suppress(FileNotFoundError):
                content = path.read_bytes()
                if hashlib.sha256(content).hexdigest() == path.stem:
                    os.utime(path)
                    files = load(content)
                    return files["xml"].tobytes(), files["bin"].tobytes()
                path.unlink()
        return None

    def write_graph(self, name: str, graph: Graph) -> None:
        xml, weights = (np.frombuffer(file, np.uint8) for file in graph)
        self._write(name, save({"xml": xml, "bin": weights}))

    def _write(self, space: str, content: bytes) -> None:
        folder = self.folder / space
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{hashlib.sha256(content).hexdigest()}.safetensors"
        handle, aside = tempfile.mkstemp(prefix=".", suffix=".partial", dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(aside).replace(target)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise

    def evict(self) -> int:
        """Deletes the shards that were not used for longest until the rest fits; returns the bytes freed."""
        shards = []
        for path in self.folder.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                if path.name.startswith(".") and time.time() - status.st_mtime < _WRITING:
                    continue
                shards.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in shards)
        freed = 0
        for _, size, path in sorted(shards):
            if total - freed <= self.limit:
                break
            path.unlink(missing_ok=True)
            freed += size
        return freed


def _read_shard(path: Path, wanted: set[str]) -> dict[str, Features]:
    """The wanted rows of a shard; a damaged one is deleted and has none."""
    try:
        with safe_open(path, framework="numpy") as shard:  # the header alone tells whether to read the rest
            images: list[str] = json.loads(shard.metadata()["images"])
        if wanted.isdisjoint(images):
            return {}
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != path.stem:
            raise ValueError("the content is not what was written")  # noqa: TRY301
        features = load(content)["features"]
        os.utime(path)  # the time of last use, for eviction
    except FileNotFoundError:
        return {}
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError):
        path.unlink(missing_ok=True)
        return {}
    return {image: row for image, row in zip(images, features, strict=True) if image in wanted}
