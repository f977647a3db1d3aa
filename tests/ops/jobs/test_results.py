from __future__ import annotations

import datetime
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ml import artifact
from ops.jobs import results
from ops.jobs.follow import JobError

RUN = "20261123T010203-000004"
PLACE = "s3://kennel-dev-artifacts/training/jobs/kennel-dev-1/output"
DESCRIPTION: dict[str, Any] = {
    "TrainingJobName": "kennel-dev-1",
    "ModelArtifacts": {"S3ModelArtifacts": f"{PLACE}/model.tar.gz"},
    "InputDataConfig": [
        {"ChannelName": "data", "DataSource": {"S3DataSource": {"S3Uri": "s3://theirs/dogs/"}}},
    ],
}
MODEL = {
    "manifest.json": json.dumps({"format": artifact.FORMAT, "metrics": {"accuracy": 0.5}}).encode(),
    **{
        name: name.encode()
        for name in (
            "model.safetensors", "model.xml", "model.bin", "golden.png", "code/inference.py", "code/guarded_fetch.py",
        )
    },
}  # fmt: skip


def packed(files: dict[str, bytes], *more: tarfile.TarInfo) -> bytes:
    """A .tar.gz as SageMaker makes it: not deterministic, with folders and owners in it."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        folder = tarfile.TarInfo("code")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uname = len(content), 1_700_000_000, "root"
            tar.addfile(member, io.BytesIO(content))
        for member in more:
            tar.addfile(member)
    return raw.getvalue()


def output(tmp_path: Path, model: dict[str, bytes] = MODEL, **more: bytes) -> dict[str, bytes]:
    """What a container leaves beside the model."""
    folder = tmp_path / "packed-there"
    for name, content in model.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    sha256 = artifact.repack(folder, tmp_path / "there.tar.gz")
    digests = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in model.items())
    return {
        "report.html": b"<html>",
        "metrics.json": json.dumps({"archive_sha256": sha256, "seed": 0}).encode(),
        "config.json": json.dumps({"data": "/opt/ml/input/data/data", "seed": 0}).encode(),
        "manifest.json": MODEL["manifest.json"],
        "golden.png": b"golden.png",
        "model.sha256": digests.encode(),
        "run.json": json.dumps({"run": RUN}).encode(),
        **more,
    }


def leave(stage: Any, model: bytes, out: bytes) -> None:
    for name, content in (("model.tar.gz", model), ("output.tar.gz", out)):
        key = f"training/jobs/kennel-dev-1/output/{name}"
        stage.client("s3").put_object(Bucket="kennel-dev-artifacts", Key=key, Body=content)


def test_a_jobs_run_lies_here_as_if_it_had_been_trained_here(stage: Any, tmp_path: Path) -> None:
    leave(stage, packed(MODEL), packed(output(tmp_path)))
    found = results.collect(stage, DESCRIPTION, tmp_path / "runs")
    assert found.run_dir == tmp_path / "runs" / RUN
    assert found.archive.read_bytes() == (tmp_path / "there.tar.gz").read_bytes()
    assert found.sha256 == json.loads((found.run_dir / "metrics.json").read_text())["archive_sha256"]
    assert found.metrics == {"accuracy": 0.5}
    assert {path.name for path in found.run_dir.iterdir()} == {
        "best.safetensors", "config.json", "golden.png", "job.json", "manifest.json", "metrics.json",
        "model.tar.gz", "report.html",
    }  # fmt: skip
    assert (found.run_dir / "best.safetensors").read_bytes() == MODEL["model.safetensors"]
    assert json.loads((found.run_dir / "config.json").read_text())["data"] == "s3://theirs/dogs/"


def test_a_run_that_is_here_is_found_without_a_download(stage: Any, tmp_path: Path) -> None:
    leave(stage, packed(MODEL), packed(output(tmp_path)))
    first = results.collect(stage, DESCRIPTION, tmp_path / "runs")
    for name in ("model.tar.gz", "output.tar.gz"):
        stage.client("s3").delete_object(
            Bucket="kennel-dev-artifacts", Key=f"training/jobs/kennel-dev-1/output/{name}"
        )
    assert results.collect(stage, DESCRIPTION, tmp_path / "runs") == first


def test_a_job_whose_name_another_one_had_leaves_a_run_of_its_own(stage: Any, tmp_path: Path) -> None:
    started = datetime.datetime(2026, 11, 23, 1, tzinfo=datetime.UTC)
    leave(stage, packed(MODEL), packed(output(tmp_path)))
    first = results.collect(stage, DESCRIPTION | {"CreationTime": started}, tmp_path / "runs")
    later = "20261124T010203-000004"
    leave(stage, packed(MODEL), packed(output(tmp_path, **{"run.json": json.dumps({"run": later}).encode()})))
    description = DESCRIPTION | {"CreationTime": started + datetime.timedelta(days=1)}
    assert results.collect(stage, description, tmp_path / "runs").run_dir.name == later
    again = DESCRIPTION | {"CreationTime": started.astimezone(datetime.timezone(datetime.timedelta(hours=2)))}
    assert results.collect(stage, again, tmp_path / "runs") == first


def test_an_archive_of_another_zlib_is_recorded_as_it_is_here(stage: Any, tmp_path: Path) -> None:
    there = output(tmp_path) | {"metrics.json": json.dumps({"archive_sha256": "0" * 64}).encode()}
    leave(stage, packed(MODEL), packed(there))
    found = results.collect(stage, DESCRIPTION, tmp_path / "runs")
    assert json.loads((found.run_dir / "metrics.json").read_text()) == {"archive_sha256": found.sha256}


@pytest.mark.parametrize(
    "changed",
    [
        {**MODEL, "model.bin": b"changed"},
        {**MODEL, "code/inference.py": b"import os"},
        {**MODEL, "more.bin": b""},
        {name: content for name, content in MODEL.items() if name != "model.xml"},
    ],
)
def test_a_model_that_is_not_what_the_job_packed_is_refused(
    stage: Any, tmp_path: Path, changed: dict[str, bytes]
) -> None:
    leave(stage, packed(changed), packed(output(tmp_path)))
    with pytest.raises(JobError, match="arrives as the job has packed it"):
        results.collect(stage, DESCRIPTION, tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


@pytest.mark.parametrize(
    "hostile",
    [
        packed({**MODEL, "../escaped.txt": b"x"}),
        packed({**MODEL, "/absolute/escaped.txt": b"x"}),
        packed(MODEL, link("model.lnk", "/etc/passwd")),
    ],
    ids=["dotdot", "absolute", "link"],
)
def test_nothing_leaves_the_folder(stage: Any, tmp_path: Path, hostile: bytes) -> None:
    leave(stage, hostile, packed(output(tmp_path)))
    with pytest.raises(JobError):
        results.collect(stage, DESCRIPTION, tmp_path / "runs")
    assert not list(tmp_path.rglob("escaped.txt"))


def test_a_cut_off_archive_is_refused(stage: Any, tmp_path: Path) -> None:
    leave(stage, packed(MODEL)[:-60], packed(output(tmp_path)))
    with pytest.raises(JobError, match="as the job has packed it"):
        results.collect(stage, DESCRIPTION, tmp_path / "runs")


def test_a_run_cannot_be_named_to_lie_elsewhere(stage: Any, tmp_path: Path) -> None:
    there = output(tmp_path) | {"run.json": json.dumps({"run": "../elsewhere"}).encode()}
    leave(stage, packed(MODEL), packed(there))
    with pytest.raises(JobError, match="plain name"):
        results.collect(stage, DESCRIPTION, tmp_path / "runs")


def test_a_job_that_left_nothing_is_told(stage: Any, tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"leaves a model and a report[\s\S]*NoSuchKey"):
        results.collect(stage, DESCRIPTION, tmp_path / "runs")


def test_an_archive_that_is_none_is_told(stage: Any, tmp_path: Path) -> None:
    leave(stage, b"no archive", packed(output(tmp_path)))
    with pytest.raises(JobError, match=r"whole \.tar\.gz"):
        results.collect(stage, DESCRIPTION, tmp_path / "runs")


def test_what_another_image_left_is_told(stage: Any, tmp_path: Path) -> None:
    leave(stage, packed(MODEL), packed({"notes.txt": b"no run"}))
    with pytest.raises(JobError, match=r"leaves a run[\s\S]*model\.sha256"):
        results.collect(stage, DESCRIPTION, tmp_path / "runs")
