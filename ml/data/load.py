"""From whatever the user named to a checked `Dataset`."""

from __future__ import annotations

from pathlib import Path

from ml.data.dataset import Dataset


def load_dataset(source: str | Path | None, *, seed: int, work_dir: Path, progress: bool = True) -> Dataset:
    """Finds, checks and splits the photos of `source`: a folder, a zip or tar archive, `s3://bucket/prefix`,
    or None for the handwritten digits of scikit-learn.

    `seed` decides only what goes into which split where the source does not say; `work_dir` keeps what was
    unpacked, downloaded or already checked. Raises `DatasetError` with all that is wrong.
    """
    raise NotImplementedError
