"""A job's checkpoints: the local folder and its copy in S3, kept alike while the job runs."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
from pathlib import Path

from localcloud.sagemaker.jobs.channels import file_name
from localcloud.sagemaker.jobs.storage import Location, StorageError, download

log = logging.getLogger(__name__)

_INTERVAL = 1.0  # s


class Checkpoints:
    """The checkpoints of one instance. Files that are written just now wait for the next round."""

    def __init__(self, folder: Path, location: Location, work: Path) -> None:
        self._folder, self._location, self._work = folder, location, work
        self._uploaded: dict[str, tuple[int, int]] = {}  # size and mtime by relative name
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def restore(self) -> None:
        """Bring what S3 has into the folder.

        Raises:
            StorageError: there is no such bucket, or the job may not read what is in it.
        """
        if self._location.bucket_or_none() is None:
            raise StorageError(
                "ClientError: Data download failed:NoSuchBucket (404): The specified bucket "
                f"{self._location.bucket} does not exist"
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        for key in self._location.below("").objects():
            if key.name.endswith("/"):
                continue
            name = file_name(self._location, key.name)
            download(key, self._folder / name, self._location.actor)
            self._uploaded[name] = _version(self._folder / name)

    def follow(self) -> None:
        """Upload what changes from now on, in the background."""

        def run() -> None:
            while not self._done.wait(_INTERVAL):
                self._round()

        self._thread = threading.Thread(target=run, name=f"checkpoints {self._location}", daemon=True)
        self._thread.start()

    def stop(self, *, last_round: bool) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        if last_round:
            self._round()

    def _round(self) -> None:
        try:
            for path in sorted(self._folder.rglob("*")):
                with contextlib.suppress(FileNotFoundError):  # deleted or renamed meanwhile
                    if path.is_file() and not path.is_symlink():
                        self._upload(path, path.relative_to(self._folder).as_posix())
        except (OSError, StorageError):
            log.exception("checkpoints of %s", self._location)

    def _upload(self, path: Path, name: str) -> None:
        before = _version(path)
        if self._uploaded.get(name) == before:
            return
        copy = self._work / "checkpoint"
        shutil.copyfile(path, copy)
        if _version(path) == before:  # else it is being written
            self._location.below(name).upload(copy)
            self._uploaded[name] = before
        copy.unlink()


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
