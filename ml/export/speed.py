"""How fast a network is in each precision: measured once on a machine, and kept, so that runs repeat to the byte."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ml.data.files import write_json

Speeds = Mapping[str, float]  # by precision, photos a second and core, of two digits

_LEAST = 0.3  # seconds of processor time


class SpeedCache:
    """What was measured of networks of one structure on one processor with one version of the libraries."""

    def __init__(self, folder: Path, of: Mapping[str, Any]) -> None:
        digest = hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()
        self._path = folder / f"{digest[:32]}.json"

    def read(self) -> Speeds:
        try:
            kept = json.loads(self._path.read_text("utf-8"))
            return {str(name): float(value) for name, value in kept.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def write(self, speeds: Speeds) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._path, dict(speeds))


def measured(work: Callable[[], object], photos: int) -> float:
    """Photos a second and core, the best of several goes at `work`, which does so many.

    By processor time: what else the machine does counts little.
    """
    seconds: list[float] = []
    while sum(seconds) < _LEAST:
        start = time.process_time()
        work()
        seconds.append(max(time.process_time() - start, 1e-6))
    return float(f"{photos / min(seconds):.2g}")
