"""One process of a training run that torchrun starts: `python -m ml.jobs.worker SPEC.json`.

SPEC.json holds config (settings of `TrainConfig`), runs_dir, work_dir, checkpoints (a folder, or null), resume, and
result: the file that rank 0 writes at the end, with run_dir, archive, sha256 and metrics, or with the error. Its
subject heads the report, and may be null.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.config import TrainConfig
from ml.errors import KennelError
from ml.metric_lines import Printer

if TYPE_CHECKING:
    from ml.head import EpochRow


@dataclass(frozen=True)
class Spec:
    config: TrainConfig
    runs_dir: Path
    work_dir: Path
    checkpoints: Path | None
    resume: bool
    result: Path
    subject: str | None = None  # what the report is headed by

    @classmethod
    def read(cls, path: Path) -> Spec:
        given = json.loads(path.read_text("utf-8"))
        checkpoints = given["checkpoints"]
        return cls(
            TrainConfig.from_dict(given["config"]),
            Path(given["runs_dir"]),
            Path(given["work_dir"]),
            None if checkpoints is None else Path(checkpoints),
            given["resume"],
            Path(given["result"]),
            given["subject"],
        )

    def write(self, path: Path) -> None:
        content = {
            "config": self.config.to_dict(),
            "runs_dir": str(self.runs_dir),
            "work_dir": str(self.work_dir),
            "checkpoints": None if self.checkpoints is None else str(self.checkpoints),
            "resume": self.resume,
            "result": str(self.result),
            "subject": self.subject,
        }
        path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def run(spec: Spec, on_epoch: Callable[[EpochRow], None] | None = None) -> None:
    """Raises `KennelError`, which stands in the result file too."""
    from ml.distributed import joined
    from ml.fit import choose_device
    from ml.train import train

    try:
        choose_device(spec.config.device)  # before the group looks for GPUs
        with joined() as group:
            result = train(
                spec.config,
                runs_dir=spec.runs_dir,
                work_dir=spec.work_dir,
                checkpoints=spec.checkpoints,
                resume=spec.resume or _restarted(),
                group=group,
                on_epoch=on_epoch,
                subject=spec.subject,
            )
    except KennelError as error:
        _write(
            spec.result, {"error": {"rule": error.rule, "received": error.received, "remedy": error.remedy}}
        )
        raise
    if result is not None:
        _write(
            spec.result,
            {
                "run_dir": str(result.run_dir),
                "archive": str(result.archive),
                "sha256": result.sha256,
                "metrics": result.manifest["metrics"],
            },
        )


def _restarted() -> bool:
    """Torchrun starts all processes anew when one has ended."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


def _write(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all: any rank may be the one that fails."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(content, default=str) + "\n", "utf-8")
    part.replace(path)


def main() -> None:
    try:
        spec = Spec.read(Path(sys.argv[1]))
        if _restarted() and spec.result.is_file() and "error" in json.loads(spec.result.read_text("utf-8")):
            sys.exit(1)  # of an error that was told another start would come to the same
        run(spec, Printer(spec.config.max_epochs, functools.partial(print, flush=True)))
    except KennelError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
