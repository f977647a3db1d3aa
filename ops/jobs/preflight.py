"""What would make a job fail later, told before anything is uploaded or paid for."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ml.config import TrainConfig
from ml.data.archive import ARCHIVE_SUFFIXES
from ml.data.check import Photo, check_classes, check_sizes
from ml.data.dataset import DatasetError, Finding
from ml.data.files import relative_path
from ml.data.layout import IMAGE_SUFFIXES, Layout, is_hidden, scan
from ml.data.load import load_dataset
from ml.errors import KennelError
from ops.jobs import rights
from ops.jobs.options import JobOptions
from ops.jobs.source import as_prefix
from ops.paths import WORK
from ops.stage import Stage


class PreflightError(KennelError):
    """A job would fail."""


@dataclass(frozen=True)
class Checked:
    """What a job that may start still has to be told of."""

    warnings: list[str]
    photos: int | None  # in the training split; None where only the job will know


def check(
    stage: Stage,
    outputs: Mapping[str, object],
    config: TrainConfig,
    options: JobOptions,
    *,
    work_dir: Path = WORK,
    progress: bool = True,
) -> Checked:
    """Raise `KennelError` for the first thing that would make the job fail."""
    check_stage(stage, outputs)
    warnings = _check_machine(config, options)
    data = check_data(stage, outputs, config, options, work_dir=work_dir, progress=progress)
    return Checked([*warnings, *data.warnings], data.photos)


def check_data(
    stage: Stage,
    outputs: Mapping[str, object],
    config: TrainConfig,
    options: JobOptions,
    *,
    work_dir: Path = WORK,
    progress: bool = True,
) -> Checked:
    """Raise `KennelError` for photos that break a rule, and for those that you or the jobs' role may not read."""
    if config.data is not None and config.data.startswith("s3://"):
        uri = as_prefix(config.data)
        keys = rights.readable_keys(stage, outputs, uri)
        photos = _check_listing(uri, keys)
        warnings = rights.check_role(stage, outputs, options, uri, keys[0])
    else:
        dataset = load_dataset(config.data, seed=config.seed, work_dir=work_dir, progress=progress)
        photos = len(dataset.train)
        warnings = rights.check_role(stage, outputs, options)
    _check_sharing(config, options, photos)
    return Checked(warnings, photos)


def check_stage(stage: Stage, outputs: Mapping[str, object]) -> None:
    """Raise `PreflightError` where Terraform has not made what jobs need."""
    needed = ("prefix", "artifact_locations", "roles", "subnet_ids", "security_group_id")
    if any(not outputs.get(name) for name in needed):
        raise PreflightError(
            "Jobs run in what Terraform has made: bucket, network, role.",
            f"the stage {stage.name} is not applied",
            f"./inv apply --stage {stage.name}",
        )
    if not outputs.get("training_image"):
        raise PreflightError(
            "Jobs run in an image of yours.",
            f"the stage {stage.name} names none",
            "Build and push it as docs/aws.md says, name it in the stage's tfvars: "
            'training = { image = "…" }, and apply.',
        )


def _check_machine(config: TrainConfig, options: JobOptions) -> list[str]:
    warnings = []
    if options.has_gpu is None:
        warnings.append(
            f"Whether {options.instance_type} has a GPU that PyTorch knows is not known here: families p and g have."
        )
    if config.device == "cuda" and options.has_gpu is False:
        raise PreflightError(
            "device=cuda needs an instance with a GPU.",
            options.instance_type,
            "Take one of a family p or g, such as ml.g4dn.xlarge, or leave device at auto.",
        )
    if config.weights == "imagenet":
        warnings.append(
            "The job downloads the weights: its network needs a way out. Without one, name a file of weights."
        )
    return warnings


def _check_listing(uri: str, keys: list[str]) -> int | None:
    """What the names alone tell of photos in a bucket; the number of training photos, where they lie in splits."""
    prefix = uri.removeprefix("s3://").partition("/")[2]
    if prefix.lower().endswith(ARCHIVE_SUFFIXES):
        return None
    with tempfile.TemporaryDirectory(prefix="kennel-listing-") as folder:
        layout = scan(_tree(Path(folder), prefix, keys))
        photos = [
            Photo(path, layout.name(path), split, name, sha256=str(path))  # as if no two were the same
            for split, group in layout.groups
            for name, paths in group.items()
            for path in paths
        ]
        findings = [*layout.findings, *check_classes(layout), *check_sizes(layout, photos)]
        if not photos:
            findings = [Finding("no-images", "a data set must hold photos", (uri,), "name their folder.")]
        if findings:
            raise DatasetError(uri, findings)
        return _training_photos(layout)


def _training_photos(layout: Layout) -> int | None:
    if len(layout.splits) < 3:
        return None  # some will be split off
    return sum(map(len, layout.splits["train"].values()))


def _tree(folder: Path, prefix: str, keys: list[str]) -> Path:
    """Empty files that are named as the photos are."""
    for key in keys:
        path = relative_path(key.removeprefix(prefix).lstrip("/"))
        if path is None or any(map(is_hidden, path.parts)) or path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return folder


def _check_sharing(config: TrainConfig, options: JobOptions, photos: int | None) -> None:
    if photos is None:
        return
    processes = options.instances * max(1, options.processes)
    if photos < processes:
        raise PreflightError(
            "Each process trains on at least one photo.",
            f"{photos} training photos, {processes} processes",
            "Use fewer instances or processes.",
        )
    if (
        config.batch_size > photos and config.batch_size != TrainConfig.batch_size
    ):  # the default fits any data
        raise PreflightError(
            "A batch is at most as large as the training split.",
            f"batch_size={config.batch_size}, {photos} training photos",
            f"Use batch_size={photos} or less.",
        )
