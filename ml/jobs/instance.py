"""One training job on an instance that keeps its disk: `python -m ml.jobs.instance FOLDER s3://bucket/prefix/name/`.

Fetches what job.json there tells, lays the folders out as a SageMaker training job finds them, runs the same container
program in them, and leaves output/model.tar.gz, output/output.tar.gz and status.json there. Photos, features and
checkpoints stay in FOLDER: a job that was interrupted goes on when one with the same settings and photos starts.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ml import aws
from ml.data import s3
from ml.data.archive import ARCHIVE_SUFFIXES
from ml.errors import KennelError

TOLD, STATUS = "job.json", "status.json"
STATE = "state.json"  # names the checkpoints in the bucket that count
_INTERVAL = 30.0  # seconds between looks for new checkpoints
_GRACE = 120.0  # seconds from SIGTERM to SIGKILL, as SageMaker gives
_HOST = "algo-1"


class InstanceError(KennelError):
    """The job cannot run on this instance."""


@dataclass(frozen=True)
class Job:
    """job.json. `key` tells jobs with the same settings and photos from others; `data` may be an archive."""

    name: str
    key: str
    hyperparameters: dict[str, str]
    data: str
    weights: str | None  # s3:// prefix of a file, where the backbone's are a file
    checkpoints: str  # s3:// prefix
    processes: int
    max_runtime: float  # seconds of training

    @classmethod
    def read(cls, location: Location) -> Job:
        return cls(**json.loads(location.read(TOLD)))


class Location:
    """What lies below an s3:// prefix."""

    def __init__(self, uri: str, client: Any) -> None:
        self._client = client
        self._bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        self._prefix = prefix.rstrip("/") + "/"

    def read(self, name: str) -> bytes:
        body: bytes = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"].read()
        return body

    def write(self, name: str, content: object) -> None:
        self._client.put_object(
            Bucket=self._bucket, Key=self._prefix + name, Body=json.dumps(content).encode()
        )

    def names(self) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        )
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return [key.removeprefix(self._prefix) for key in keys]

    def download(self, name: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._client.download_file(self._bucket, self._prefix + name, str(path))

    def upload(self, path: Path, name: str) -> None:
        self._client.upload_file(str(path), self._bucket, self._prefix + name)


class Checkpoints:
    """A folder, and its copy in the bucket for the case that the instance does not come back."""

    def __init__(self, folder: Path, location: Location) -> None:
        self._folder, self._location = folder, location
        self._sent: dict[str, tuple[int, int]] = {}  # time and size
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_sending, name="checkpoints", daemon=True)

    def restore(self) -> None:
        """Fetch them, unless the disk has some."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if any(self._folder.iterdir()) or STATE not in self._location.names():
            return
        for name in json.loads(self._location.read(STATE)):
            self._location.download(name, self._folder / name)
            print(f"restored the checkpoint {name}", flush=True)

    def start(self) -> None:
        self._thread.start()

    def end(self, *, finished: bool) -> None:
        """Send what is new, or after a finished job forget them all."""
        self._ended.set()
        self._thread.join()
        if finished:
            shutil.rmtree(self._folder)
            self._location.write(STATE, [])
        else:
            self._send()

    def _keep_sending(self) -> None:
        while not self._ended.wait(_INTERVAL):
            try:
                self._send()
            except (OSError, BotoCoreError, ClientError) as error:  # they are on the disk all the same
                print(f"checkpoints could not be copied to the bucket: {error}", flush=True)

    def _send(self) -> None:
        found = {}
        for path in sorted(path for path in self._folder.rglob("*") if path.is_file()):
            stat = path.stat()
            found[path.relative_to(self._folder).as_posix()] = (stat.st_mtime_ns, stat.st_size)
        if found == self._sent:
            return
        for name, mark in found.items():
            if self._sent.get(name) != mark:
                self._location.upload(self._folder / name, name)
        self._location.write(STATE, sorted(found))
        self._sent = found


def run(root: Path, job: Job, location: Location, client: Any) -> int:
    """Train; return the exit code. What the job leaves, its failure too, is below `location`."""
    base = root / "jobs" / job.name
    for left in base.parent.iterdir():  # by jobs that were interrupted
        if left != base:
            shutil.rmtree(left)
    kept = Checkpoints(root / "checkpoints" / job.key, Location(job.checkpoints, client))
    kept.restore()
    lay_out(root, base, job, client)
    kept.start()
    finished = False
    try:
        code, is_late = _train(base, job)
        if code == 0:
            for folder, name in (("model", "model"), ("output/data", "output")):
                archive = pack(base / folder, base / f"{name}.tar.gz")
                location.upload(archive, f"output/{archive.name}")
            finished = True
    finally:
        kept.end(finished=finished)
    failure = base / "output" / "failure"
    reason = failure.read_text("utf-8") if failure.is_file() else ""
    if is_late:
        reason = f"MaxRuntimeExceeded: training took longer than {job.max_runtime:.0f} s"
    location.write(STATUS, {"code": code, "failure": reason})
    shutil.rmtree(base)
    return code


def _train(base: Path, job: Job) -> tuple[int, bool]:
    """The container program's exit code, and whether it had to be stopped for its time."""
    environment = {"SAGEMAKER_BASE_DIR": str(base), "TRAINING_JOB_NAME": job.name}
    if job.processes:
        environment["KENNEL_PROCESSES"] = str(job.processes)
    process = subprocess.Popen([sys.executable, "-m", "ml.jobs.container"], env=os.environ | environment)
    try:
        return process.wait(job.max_runtime), False
    except subprocess.TimeoutExpired:
        process.terminate()
    try:
        return process.wait(_GRACE) or 1, True
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(), True


def lay_out(root: Path, base: Path, job: Job, client: Any) -> None:
    """Make the job's folders; photos come once, whatever number of jobs uses them."""
    shutil.rmtree(base / "input", ignore_errors=True)
    config, channels = base / "input" / "config", base / "input" / "data"
    config.mkdir(parents=True)
    channels.mkdir()
    told = {
        "hyperparameters": job.hyperparameters,
        "resourceconfig": {"current_host": _HOST, "hosts": [_HOST], "network_interface_name": "lo"},
        "inputdataconfig": {},
    }
    for name, content in told.items():
        (config / f"{name}.json").write_text(json.dumps(content), "utf-8")
    photos = s3.download(job.data, root / "photos")
    if photos.is_dir():
        (channels / "data").symlink_to(photos)
    else:
        (channels / "data").mkdir()
        suffix = next(one for one in ARCHIVE_SUFFIXES if job.data.lower().endswith(one))
        (channels / "data" / f"photos{suffix}").symlink_to(photos)
    if job.weights is not None:
        there = Location(job.weights, client)
        for name in there.names():
            there.download(name, channels / "weights" / name)
    checkpoints = base / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    for name, folder in (("training", root / "checkpoints" / job.key), ("work", root / "work")):
        folder.mkdir(parents=True, exist_ok=True)
        (checkpoints / name).unlink(missing_ok=True)
        (checkpoints / name).symlink_to(folder)


def pack(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            tar.add(path, path.relative_to(folder).as_posix(), recursive=False)
    return archive


def main() -> None:
    root, uri = Path(sys.argv[1]), sys.argv[2]
    client = aws.client("s3")
    location = Location(uri, client)
    try:
        with (root / "lock").open("w") as lock:  # the kernel drops it when its holder dies
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InstanceError(
                    "An instance runs one job at a time.", "another is running", "Wait for its end."
                ) from error
            code = run(root, Job.read(location), location, client)
    except (KennelError, BotoCoreError, ClientError, OSError) as error:
        location.write(STATUS, {"code": 1, "failure": str(error)})
        sys.exit(f"error: {error}")
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
