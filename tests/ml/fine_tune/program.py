"""A fine-tuning as a process of its own, which the tests kill: `python -m tests.ml.fine_tune.program JSON`.

JSON holds photos, checkpoints, result, settings (of each run), resume; kill: in which epoch, at which batch, which
rank dies; fail: after which epoch rank 0 raises an error.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from ml.distributed import Group, joined
from ml.errors import KennelError
from ml.fine_tune import fine_tune, trainer
from tests.ml.fine_tune import material


def main(file: Path) -> None:
    spec = json.loads(file.read_text())
    torch.set_num_threads(1)
    restarted = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
    with joined() as group:
        if "kill" in spec and not restarted:
            _plan_death(group, **spec["kill"])
        results = [
            _run(spec, settings, group, spec.get("resume", False) or restarted)
            for settings in spec["settings"]
        ]
        if group.is_main:
            Path(spec["result"]).write_text(json.dumps(results))


def _run(spec: dict[str, Any], settings: dict[str, Any], group: Group, resume: bool) -> dict[str, Any]:
    loaded = material.backbone()
    rows: list[float] = []

    def on_epoch(row: dict[str, float]) -> None:
        rows.append(row["epoch"])
        if row["epoch"] == spec.get("fail"):
            raise KennelError("An epoch must please", "this one", "try again")

    tuned = fine_tune(
        material.read_photos(Path(spec["photos"])),
        loaded,
        material.head(loaded.width),
        material.config(**settings),
        group=group,
        checkpoints=Path(spec["checkpoints"]) if "checkpoints" in spec else None,
        resume=resume,
        on_epoch=on_epoch,
        progress=False,
    )
    bits = group.gather(material.bits(tuned.network))
    assert len(set(bits)) == 1
    return {"history": tuned.history, "bits": bits[0], "best_epoch": tuned.best_epoch, "told": rows}


def _plan_death(group: Group, epoch: int, rank: int, batch: int) -> None:
    learn = trainer._Trainer._learn
    batches = 0

    def dying(self: Any, *arguments: Any) -> Any:
        nonlocal batches
        batches += len(self.history) == epoch - 1
        if batches == batch and group.rank == rank:
            os.kill(os.getpid(), signal.SIGKILL)
        return learn(self, *arguments)

    trainer._Trainer._learn = dying  # type: ignore[method-assign]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
