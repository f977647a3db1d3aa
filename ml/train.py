"""From a configuration to a run: data, features, head, evaluation, archive."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save_file
from tqdm import tqdm

from ml import artifact, golden
from ml.config import TrainConfig
from ml.data import Dataset, Split, load_dataset
from ml.data.files import sweep, write_json
from ml.distributed import SINGLE, Group
from ml.errors import KennelError
from ml.evaluate import Evaluation, PrecisionCost, evaluate, softmax
from ml.export import precisions
from ml.export.served import Served, serve
from ml.fit import Fitted, Material, cache_of, check, choose_device, fit, labels_of
from ml.head import EpochRow, head_spec, predict
from ml.report import Mistake, ReportInput, write_report
from ml.serving.engine import Engine
from ml.serving.errors import ModelError
from ml.serving.images import decode
from ml.serving.network import NetworkSpec
from ml.weights import load_backbone

_BATCH = 16  # images at a time through an engine
_ROOT = Path(__file__).resolve().parents[1]
_CODE = ("ml", "lambda/guarded_fetch.py", "requirements.txt")  # what a model comes from
_PARTIAL = re.compile(r"\..+\.([0-9]+)\.partial")  # a run that is not done, and its process


@dataclass(frozen=True)
class RunResult:
    run_dir: Path
    archive: Path
    sha256: str  # of the archive
    evaluation: Evaluation  # on the test split
    manifest: dict[str, Any]
    precision: PrecisionCost


def train(
    config: TrainConfig,
    *,
    runs_dir: Path,
    work_dir: Path,
    checkpoints: Path | None = None,
    resume: bool = False,
    group: Group = SINGLE,
    on_epoch: Callable[[EpochRow], None] | None = None,
    subject: str | None = None,
    progress: bool = True,
) -> RunResult | None:
    """Trains, tests and packs; `runs_dir`/<id> is there when all of it has worked, and else not at all.
    The report is headed by `subject`; None: by the data's name.

    In a group all ranks call it; rank 0 alone writes the run, the others get None.
    """
    choose_device(config.device)
    precisions.check(config.serving_precision)
    clock = _Clock(show=progress and group.is_main)
    with clock.step("backbone"):
        backbone = load_backbone(config.backbone, config.weights)
    with clock.step("data"):
        dataset = load_together(config, work_dir, group, progress=progress)
        check(config, dataset, backbone)
    material = Material(
        dataset,
        backbone,
        cache=cache_of(config, work_dir),
        precision=config.extraction_precision,
        seed=config.seed,
        group=group,
        progress=progress,
    )
    with clock.step("features"):
        material.prepare()
        material.features("train", augment=config.augment, views=config.extra_views)
    with clock.step("head" if config.frozen else "fine-tuning"):
        fitted = fit(config, material, checkpoints=checkpoints, resume=resume, on_epoch=on_epoch)
    fast = _fast_accuracy(fitted, material)
    if not group.is_main:
        return None
    config = dataclasses.replace(config, weight_decay=fitted.weight_decay, epochs=config.max_epochs)
    with tempfile.TemporaryDirectory(prefix="kennel-export-") as graphs:
        with clock.step("export"):
            served = serve(
                fitted.network,
                backbone.preprocessing,
                train=dataset.train,
                valid=dataset.valid,
                precision=config.serving_precision,
                cache=cache_of(config, work_dir),
                speeds=work_dir / "cache" / "speeds",
                folder=Path(graphs),
            )
        with clock.step("evaluation"):
            logits = served.answer(dataset.test)
            evaluation = evaluate(logits, material.labels("test"), dataset.classes)
            cost = PrecisionCost("f32")
            if fast is not None:
                cost = PrecisionCost(material.precision, fast, evaluation.accuracy)
        manifest = {
            "format": artifact.FORMAT,
            "classes": list(dataset.classes),
            "network": NetworkSpec(config.backbone, head_spec(config), len(dataset.classes)).to_dict(),
            "preprocessing": served.preprocessing.to_dict(),
            "engine": served.engine,
            "golden": served.golden.to_dict(),
            "data": {"digest": dataset.digest, "test_digest": dataset.test_digest, "counts": dataset.counts},
            "code": code_state(),
            "config": config.portable(),
            "metrics": evaluation.summary(),
        }
        with _run_folder(runs_dir) as (folder, run_dir):
            with clock.step("archive"):
                write_json(folder / "config.json", config.to_dict())
                write_json(folder / artifact.MANIFEST, manifest)
                save_file(fitted.network.state_dict(), folder / artifact.RUN_WEIGHTS)
                (folder / golden.FILE).write_bytes(served.golden.content)
                archive, sha256 = artifact.build(folder, served.model)
            with clock.step("proof"):
                artifact.verify(archive)
            with clock.step("report"):
                title = f"{subject or config.subject}, run {run_dir.name}"
                _write_report(
                    folder / "report.html", title, config, dataset, fitted, served, logits, evaluation, cost
                )
            write_json(
                folder / "metrics.json",
                {
                    "seed": config.seed,
                    "best_epoch": fitted.best_epoch,
                    "class_weights": fitted.class_weights,
                    "history": [_finite(row) for row in fitted.history],
                    "evaluation": evaluation.to_dict(),
                    "features": dataclasses.asdict(cost),
                    "processes": group.world,
                    "archive_sha256": sha256,
                    "seconds": clock.seconds,
                },
            )
    clock.total()
    return RunResult(run_dir, run_dir / archive.name, sha256, evaluation, manifest, cost)


def load_together(config: TrainConfig, work_dir: Path, group: Group, *, progress: bool) -> Dataset:
    """The data set, the same in every rank; on each machine one rank downloads and unpacks."""
    if group.local_rank > 0:
        group.barrier()
    dataset = load_dataset(
        config.data, seed=config.seed, work_dir=work_dir, progress=progress and group.is_main
    )
    if group.local_rank == 0:
        group.barrier()
    if len(digests := set(group.gather(dataset.digest))) > 1:
        raise KennelError(
            "All machines must see the same photos",
            f"{len(digests)} different data sets on {group.world} processes",
            "name data that all of them can read, such as an s3:// prefix",
        )
    return dataset


def _fast_accuracy(fitted: Fitted, material: Material) -> float | None:
    """On test photos, with the features in less than f32 that the head was trained on; None where they are f32."""
    if fitted.backbone is not material.backbone or material.precision == "f32":
        return None
    answers = predict(fitted.head, material.features("test")).argmax(1)
    return float((answers == material.labels("test")).mean())


def evaluate_artifact(
    archive: Path, data: str | Path | None, *, split: Split = "test", work_dir: Path, progress: bool = True
) -> Evaluation:
    """Measures a packed model on a split of `data`, with the engine that serves it."""
    with artifact.unpacked(archive) as folder:
        seed = artifact.inspect(archive)["config"][
            "seed"
        ]  # so that data without splits is split as in training
        dataset = load_dataset(data, seed=seed, work_dir=work_dir, progress=progress)
        try:
            engine = Engine.load(folder)
        except ModelError as error:
            raise KennelError("A model must load", f"{archive}: {error}", "train again") from error
        if engine.classes != dataset.classes:
            odd = sorted(set(engine.classes) ^ set(dataset.classes))
            raise KennelError(
                "A model can be measured on the classes that it was trained on",
                f"{len(engine.classes)} in the model, {len(dataset.classes)} in the data; "
                f"not in both: {', '.join(odd[:5])}",
                "name the data that the model is for",
            )
        samples, side = dataset.split(split), engine.preprocessing.decoded_side
        logits = []
        with (
            ThreadPoolExecutor() as pool,
            tqdm(total=len(samples), desc="evaluate", unit="img", disable=None if progress else True) as bar,
        ):
            for start in range(0, len(samples), _BATCH):
                batch = samples[start : start + _BATCH]
                images = list(pool.map(lambda sample: decode(sample.path.read_bytes(), shorter=side), batch))
                logits.append(engine.classify(images))
                bar.update(len(batch))
        return evaluate(np.concatenate(logits), labels_of(samples), dataset.classes)


def code_state(root: Path = _ROOT) -> dict[str, str | bool | None]:
    """The last commit to the code that trains and serves, and whether that code has been changed since.

    Commits to anything else make no other model, and so no other archive.
    """
    told = root / ".code-state.json"  # packed with the code for where it has no repository
    if told.is_file():
        state: dict[str, str | bool | None] = json.loads(told.read_text("utf-8"))
        return state
    commit = _git(root, "log", "-1", "--format=%H", "--", *_CODE)
    changed = _git(root, "status", "--porcelain", "--", *_CODE)
    return {"commit": commit or None, "dirty": bool(changed)}


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


@contextmanager
def _run_folder(runs_dir: Path) -> Iterator[tuple[Path, Path]]:
    """A folder to fill, and the run's own that it becomes at the end; a failed run leaves neither."""
    runs_dir.mkdir(parents=True, exist_ok=True)
    sweep(runs_dir, _PARTIAL)
    now = datetime.datetime.now(datetime.UTC)
    run_dir = runs_dir / f"{now:%Y%m%dT%H%M%S}-{now.microsecond:06d}"
    folder = runs_dir / f".{run_dir.name}.{os.getpid()}.partial"
    folder.mkdir()
    try:
        yield folder, run_dir
        folder.rename(run_dir)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _finite(row: EpochRow) -> dict[str, float | None]:
    """For JSON, which has no word for what a loss is after training has diverged."""
    return {name: value if math.isfinite(value) else None for name, value in row.items()}


def _write_report(
    path: Path,
    title: str,
    config: TrainConfig,
    dataset: Dataset,
    fitted: Fitted,
    served: Served,
    logits: NDArray[np.float32],
    evaluation: Evaluation,
    cost: PrecisionCost,
) -> None:
    probabilities = softmax(logits)
    guesses = probabilities.argmax(axis=1)
    mistakes = [
        Mistake(sample.path, sample.label, int(guess), float(probability))
        for sample, guess, probability in zip(dataset.test, guesses, probabilities.max(axis=1), strict=True)
        if guess != sample.label
    ]
    packages = ("torch", "torchvision", "timm", "openvino", "numpy", "pillow")
    write_report(
        path,
        run=ReportInput(
            title=title,
            classes=dataset.classes,
            evaluation=evaluation,
            history=fitted.history,
            mistakes=sorted(mistakes, key=lambda mistake: -mistake.probability),
            counts=dataset.counts,
            config=config.to_dict(),
            versions={
                "python": platform.python_version(),
                **{name: importlib.metadata.version(name) for name in packages},
            },
            notes=(
                *dataset.notes,
                f"The weights are those of epoch {fitted.best_epoch} of {len(fitted.history)}.",
                *([f"Features in {words}."] if (words := cost.words) else []),
            ),
            engine=served.engine,
            decode_margin=served.preprocessing.decode_margin,
        ),
    )


class _Clock:
    """What takes how long: kept for metrics.json, and shown as it goes."""

    def __init__(self, *, show: bool) -> None:
        self._show = show
        self._start = time.monotonic()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 2)
        self._print(f"{name:<12}{self.seconds[name]:>6.1f} s")

    def total(self) -> None:
        self._print(f"{'in all':<12}{time.monotonic() - self._start:>6.1f} s")

    def _print(self, line: str) -> None:
        if self._show:
            print(line, file=sys.stderr)
