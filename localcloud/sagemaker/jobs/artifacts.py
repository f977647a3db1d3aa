"""What a training job leaves: the folders of its instances, merged into one archive in S3."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

from localcloud.sagemaker.jobs.storage import Location


def files(folders: list[Path]) -> dict[str, Path]:
    """The files in the folders by relative name; of several with one name the first instance's counts."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in _walk(folder):
            found.setdefault(path.relative_to(folder).as_posix(), path)
    return dict(sorted(found.items()))


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        inside = path.resolve().is_relative_to(folder.resolve())
        if path.is_file() and inside:  # a link that leads outside is no artifact
            yield path


def upload(folders: list[Path], target: Location, *, compressed: bool, work: Path) -> Location:
    """Upload to `target`.tar.gz, or file by file under `target`/; returns where it is."""
    found = files(folders)
    if not compressed:
        for name, path in found.items():
            target.below(name).upload(path)
        return target.at(target.key + "/")
    archive = work / f"{target.key.rpartition('/')[2]}.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:  # weights do not get smaller with more effort
        for name, path in found.items():
            tar.add(path.resolve(), name, recursive=False)
    there = target.at(target.key + ".tar.gz")
    there.upload(archive)
    archive.unlink()
    return there
