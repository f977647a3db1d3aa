"""Brings a finished job's model and report here, as a run like any other."""

from __future__ import annotations

import contextlib
import datetime
import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from ml import artifact
from ml.data.files import building, write_json
from ml.jobs.container import DIGESTS, RUN
from ops import files
from ops.jobs.follow import JobError
from ops.jobs.source import split_uri
from ops.stage import Stage

JOB = "job.json"  # in a run's folder: which job it comes from
_MAX_BYTES = 16 * 2**30  # unpacked
_MAX_FILES = 10_000
_BLOCK = 2**20  # bytes


@dataclass(frozen=True)
class Collected:
    """A job's run on this machine, ready to be released."""

    run_dir: Path
    archive: Path
    sha256: str
    metrics: dict[str, Any]  # on the test split, as the manifest has them


def collect(stage: Stage, description: Mapping[str, Any], runs_dir: Path) -> Collected:
    """Return the run of the completed training job, downloaded unless it is here already.

    `description` is what DescribeTrainingJob answers.

    Raises:
        JobError: the job left no model, or what it left is damaged.
    """
    model = description["ModelArtifacts"]["S3ModelArtifacts"]
    output = f"{model.rpartition('/')[0]}/output.tar.gz"
    name = str(description["TrainingJobName"])
    data = [
        channel["DataSource"]["S3DataSource"]["S3Uri"]
        for channel in description.get("InputDataConfig", [])
        if channel["ChannelName"] == "data"
    ]
    started = description.get("CreationTime")
    return collect_from(stage, name, model, output, runs_dir, data=data[0] if data else None, started=started)


def collect_from(
    stage: Stage,
    name: str,
    model: str,
    output: str,
    runs_dir: Path,
    *,
    data: str | None = None,
    started: datetime.datetime | None = None,
) -> Collected:
    """The same, by the s3:// addresses of model.tar.gz and output.tar.gz.

    A name may have been another job's, deleted since or of another cloud; `started` tells them apart.
    """
    runs_dir.mkdir(parents=True, exist_ok=True)
    moment = started.astimezone(datetime.UTC).isoformat() if started else None
    job = {"name": name, "model": model, "started": moment}
    for record in sorted(runs_dir.glob(f"*/{JOB}")):
        if files.read_json(record) == job:
            return _collected(record.parent)
    with tempfile.TemporaryDirectory(prefix="kennel-job-") as folder:
        unpacked = Path(folder)
        _unpack(stage, model, unpacked / "model")
        _unpack(stage, output, unpacked / "output")
        _verify(unpacked, model)
        run = str(json.loads((unpacked / "output" / RUN).read_text("utf-8"))["run"])
        if Path(run).name != run or run.startswith("."):
            raise JobError("A run is named by a plain name.", run, "Train again.")
        with building(runs_dir / run) as target:
            if target is not None:
                _lay_out(unpacked, target, job, data)
        return _collected(runs_dir / run)


def _lay_out(unpacked: Path, target: Path, job: dict[str, Any], data: str | None) -> None:
    """Fill the run's folder, as training here leaves it."""
    for path in sorted((unpacked / "output").iterdir()):
        if path.is_file() and path.name not in (DIGESTS, RUN):
            shutil.copyfile(path, target / path.name)
    shutil.copyfile(unpacked / "model" / artifact.WEIGHTS, target / artifact.RUN_WEIGHTS)
    sha256 = artifact.repack(unpacked / "model", target / artifact.ARCHIVE)
    metrics = files.read_json(target / "metrics.json")
    if (
        metrics["archive_sha256"] != sha256
    ):  # the same content, compressed by another build of zlib than the job's
        write_json(target / "metrics.json", metrics | {"archive_sha256": sha256})
    config = files.read_json(target / "config.json")
    if config and data is not None:
        config["data"] = data  # not where the container had it
        write_json(target / "config.json", config)
    files.write_json(target / JOB, job)


def _collected(run_dir: Path) -> Collected:
    archive = run_dir / artifact.ARCHIVE
    return Collected(run_dir, archive, artifact.sha256_of(archive), artifact.inspect(archive)["metrics"])


def _verify(unpacked: Path, model: str) -> None:
    """Every file of the model is what the job packed, and none has been added."""
    missing = [name for name in (DIGESTS, RUN) if not (unpacked / "output" / name).is_file()]
    if missing:
        raise JobError(
            "A job of this project leaves a run.",
            f"{model}: no {', '.join(missing)} beside it",
            "Train again.",
        )
    listed = {}
    for line in (unpacked / "output" / DIGESTS).read_text("utf-8").splitlines():
        digest, _, name = line.partition("  ")
        listed[name] = digest
    folder = unpacked / "model"
    found = {
        path.relative_to(folder).as_posix(): artifact.sha256_of(path)
        for path in folder.rglob("*")
        if path.is_file()
    }
    odd = sorted(name for name in listed.keys() | found.keys() if listed.get(name) != found.get(name))
    if odd:
        raise JobError(
            "A model arrives as the job has packed it.",
            f"{model}: {', '.join(odd[:5])} differ",
            "Train again.",
        )


def _unpack(stage: Stage, uri: str, folder: Path) -> None:
    """Stream the .tar.gz from S3 into the folder; nothing leaves the folder, whatever the members are called."""
    bucket, key = split_uri(uri)
    folder.mkdir()
    total = 0
    try:
        with (
            _body(stage, bucket, key) as body,
            tarfile.open(fileobj=body, mode="r|gz", bufsize=_BLOCK) as tar,
        ):
            for number, member in enumerate(tar):
                total += member.size
                if total > _MAX_BYTES or number >= _MAX_FILES:
                    raise JobError(
                        f"What a job leaves has at most {_MAX_BYTES // 2**30} GiB and {_MAX_FILES:,} files.",
                        uri,
                        "Look into it before trusting it.",
                    )
                if not (member.isreg() or member.isdir()):
                    raise JobError("What a job leaves is files.", f"{uri}: {member.name}", "Train again.")
                tar.extract(member, folder, filter="data")
    except ClientError as error:
        remedy = "The job has to be Completed; ./inv jobs shows it. Old results may have expired."
        raise JobError("A finished job leaves a model and a report.", f"{uri}: {error}", remedy) from error
    except (BotoCoreError, tarfile.TarError, EOFError, OSError) as error:
        raise JobError(
            "What a job leaves is a whole .tar.gz.",
            f"{uri}: {error}",
            "Try again; train again if it stays so.",
        ) from error


@contextlib.contextmanager
def _body(stage: Stage, bucket: str, key: str) -> Iterator[Any]:
    body = stage.client("s3").get_object(Bucket=bucket, Key=key)["Body"]
    try:
        yield cast(Any, body)
    finally:
        body.close()
