"""Files and folders that are whole or not there, and names that stay inside of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath


def relative_path(name: str) -> PurePosixPath | None:
    """The path that an archive member or an S3 key names below its folder; None where it leads out of it."""
    path = PurePosixPath(name)
    return None if path.is_absolute() or ".." in path.parts or "\0" in name else path


PART = f".part-{os.getpid()}-"  # begins the name of what is not whole yet
_PART = re.compile(r"\.part-([0-9]+)-.+")


def sweep(parent: Path, unfinished: re.Pattern[str] = _PART) -> None:
    """Removes what killed processes left in `parent`: names that match, with the process as first group."""
    for path in parent.iterdir():
        if match := unfinished.fullmatch(path.name):
            try:
                os.kill(int(match[1]), 0)
            except (ProcessLookupError, OverflowError):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
            except PermissionError:
                continue  # somebody else's, and alive


@contextmanager
def building(target: Path) -> Iterator[Path | None]:
    """A folder to fill, moved to `target` once all is well; None where `target` is there already.

    So `target` is never half a folder, after a crash or beside another process that builds the same.
    """
    if target.is_dir():
        yield None
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=PART) as part:
        folder = Path(part) / "folder"
        folder.mkdir()
        yield folder
        try:
            folder.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was faster, with the same content
                raise


def write_json(path: Path, content: object) -> None:
    """Writes it aside, and puts it in its place: the same text for the same content."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    aside.write_text(json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n", "utf-8")
    aside.replace(path)
