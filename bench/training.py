"""Feature extraction, tuning and accuracy, against the training script that Kennel replaces.

    python -m bench.training --data dogImages [--rounds 3] [--share 1] [--write]

Every measurement is a process of its own, and they take turns, so that a busy machine slows all. The replaced script is
measured as it was shipped, and with the thresholds of glibc's allocator raised, which keeps the memory of activations
from going back to the system and coming again, page by page, in every batch. One of its epochs and its test are run
(with `--share`, on every so many of the photos, as its time grows with them); what tuning would take is their time a
photo, times the passes of its trials. Kennel is measured on all photos, with an empty cache, quantization included.

`--write` puts table and picture into docs/benchmarks.md. Exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import training_report, weights
from ml.data import SPLITS, load_dataset

ROOT = Path(__file__).parents[1]
MIB = 2**20
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(4096 * MIB),
    "MALLOC_TRIM_THRESHOLD_": str(4096 * MIB),
    "MALLOC_TOP_PAD_": str(256 * MIB),
}
BATCH = 32
SHIPPED, TUNED = "replaced, as shipped", "replaced, allocator tuned"


@dataclass
class Baseline:
    """The replaced script in one environment, and what it took, a photo of each split."""

    name: str
    environment: Mapping[str, str]
    extraction_target: float  # Kennel is to be so many times as fast
    tuning_target: float
    seconds: dict[str, list[float]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    rates: list[float] = field(default_factory=list)  # photos a second, over all splits
    cpu: list[float] = field(default_factory=list)  # processor seconds a photo

    def tuning(self, counts: Mapping[str, int], trials: int, epochs: int) -> float:
        """Seconds: each epoch trains and validates, each trial tests once."""
        spent = {split: statistics.median(self.seconds[split]) * counts[split] for split in SPLITS}
        return trials * (epochs * (spent["train"] + spent["valid"]) + spent["test"])

    def processor(self, counts: Mapping[str, int], trials: int, epochs: int) -> float:
        """Processor seconds of tuning, which neighbours on the machine distort less."""
        photos = epochs * (counts["train"] + counts["valid"]) + counts["test"]
        return trials * photos * statistics.median(self.cpu)


@dataclass
class Kennel:
    """What Kennel took, in seconds."""

    rates: list[float] = field(default_factory=list)  # photos a second
    quantization: list[float] = field(default_factory=list)  # once for all passes
    extraction_cpu: list[float] = field(default_factory=list)  # processor seconds a photo
    tuning: list[float] = field(default_factory=list)
    tuning_cpu: list[float] = field(default_factory=list)
    precision: str = ""


@dataclass(frozen=True)
class Ended:
    answer: dict[str, Any]
    seconds: float  # from its start to its end
    cpu: float  # processor seconds


def process(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Ended:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, env={**os.environ, **(environment or {})},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{module} {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ended(json.loads(done.stdout.splitlines()[-1]), seconds, cpu)


def share_of(data: Path, share: float, folder: Path) -> Path:
    """A folder of links to every so many of each class's photos; the data itself for a share of 1."""
    if share >= 1:
        return data
    for split in SPLITS:
        for of_class in sorted((data / split).iterdir()):
            photos = sorted(of_class.iterdir())
            target = folder / split / of_class.name
            target.mkdir(parents=True)
            for photo in photos[:: round(1 / share)]:
                (target / photo.name).symlink_to(photo.resolve())
    return folder


def settings(data: Path, backbone: str, file: Path, epochs: int, folder: Path) -> Path:
    """The file of Kennel's settings for this backbone."""
    path = folder / f"{file.stem}.json"
    path.write_text(
        json.dumps({"data": str(data), "backbone": backbone, "weights": str(file), "epochs": epochs})
    )
    return path


class Bench:
    """One comparison: `measure` rounds, then `accuracy`."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments = arguments
        self.folder = folder
        self.data: Path = arguments.data.resolve()
        dataset = load_dataset(str(self.data), seed=0, work_dir=folder / "check", progress=False)
        self.counts = dataset.counts
        self.classes = len(dataset.classes)
        self.files = {
            name: weights.file_of(name, arguments.weights or folder / "weights", dataset)
            for name in {arguments.backbone, *arguments.accuracy}
        }
        self.baselines = [Baseline(SHIPPED, {}, 6, 300), Baseline(TUNED, ALLOCATOR, 3, 130)]
        self.kennel = Kennel()
        self.loads: list[float] = []

    def measure(self) -> None:
        measured_on = share_of(self.data, self.arguments.share, self.folder / "share")
        for number in range(self.arguments.rounds):
            for baseline in self.baselines:
                self._baseline(baseline, measured_on)
                self._extract(self.folder / f"extract-{number}-{baseline.name}")
            self._tune(self.arguments.backbone, self.folder / f"tune-{number}")

    def _say(self, text: str) -> None:
        self.loads.append(os.getloadavg()[0])
        print(f"load {self.loads[-1]:5.2f}  {text}", flush=True)

    def _baseline(self, baseline: Baseline, data: Path) -> None:
        ended = process(
            "bench.replaced_training", f"--data={data}", f"--backbone={self.arguments.backbone}",
            f"--weights={self.files[self.arguments.backbone]}", f"--batch-size={BATCH}",
            environment=baseline.environment,
        )  # fmt: skip
        photos, seconds = ended.answer["photos"], ended.answer["seconds"]
        for split in SPLITS:
            baseline.seconds[split].append(seconds[split][0] / photos[split])
        passes = sum(seconds[split][0] for split in SPLITS)
        baseline.rates.append(sum(photos.values()) / passes)
        baseline.cpu.append(ended.cpu / sum(photos.values()))
        self._say(f"{baseline.name}: {baseline.rates[-1]:.1f} photos/s")

    def _extract(self, work_dir: Path) -> None:
        ended = self._kennel("extract", self._settings(self.arguments.backbone), work_dir)
        answer = ended.answer
        self.kennel.precision = answer["precision"]
        self.kennel.rates.append(answer["photos"] / answer["seconds"])
        self.kennel.quantization.append(answer["quantization"])
        self.kennel.extraction_cpu.append(ended.cpu / answer["photos"])
        self._say(f"Kennel, extraction ({answer['precision']}): {self.kennel.rates[-1]:.1f} photos/s")

    def _tune(self, backbone: str, work_dir: Path) -> dict[str, Any]:
        ended = self._kennel("tune", self._settings(backbone), work_dir, f"--trials={self.arguments.trials}")
        if backbone == self.arguments.backbone:
            self.kennel.tuning.append(ended.seconds)
            self.kennel.tuning_cpu.append(ended.cpu)
        self._say(f"Kennel, {ended.answer['trials']} trials on {backbone}: {ended.seconds:.1f} s")
        return ended.answer

    def _settings(self, backbone: str) -> Path:
        return settings(self.data, backbone, self.files[backbone], self.arguments.epochs, self.folder)

    def _kennel(self, what: str, config: Path, work_dir: Path, *more: str) -> Ended:
        return process("bench.kennel_training", what, f"--config={config}", f"--work-dir={work_dir}", *more)

    def accuracy(self, backbone: str) -> dict[str, Any]:
        """Both sides trained to the end on all photos: true shares of the test split, as neither prints a false one."""
        replaced = process(
            "bench.replaced_training", f"--data={self.data}", f"--backbone={backbone}",
            f"--weights={self.files[backbone]}", f"--batch-size={BATCH}",
            f"--epochs={self.arguments.epochs}", "--all-epochs", environment=ALLOCATOR,
        )  # fmt: skip
        work_dir = self.folder / f"accuracy-{self.files[backbone].stem}"
        tuned = self._tune(backbone, work_dir)
        winner = work_dir / "winner.json"
        winner.write_text(json.dumps(tuned["config"]))
        ours = self._kennel("train", winner, work_dir)
        found = {"replaced": replaced.answer["accuracy"], "kennel": ours.answer["accuracy"]}
        self._say(f"accuracy on {backbone}: replaced {found['replaced']:.1%}, Kennel {found['kennel']:.1%}")
        return found

    def result(self, accuracies: Mapping[str, Any]) -> dict[str, Any]:
        """All that was measured, and what it comes to."""
        arguments = self.arguments
        ours = statistics.median(self.kennel.rates)
        ours_cpu = statistics.median(self.kennel.extraction_cpu)
        tuning, tuning_cpu = statistics.median(self.kennel.tuning), statistics.median(self.kennel.tuning_cpu)
        plan = (self.counts, arguments.trials, arguments.epochs)
        return {
            "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
            "machine": f"{platform.system()}, {platform.machine()}, {os.cpu_count()} cores",
            "versions": {
                name: importlib.metadata.version(name)
                for name in ("torch", "torchvision", "openvino", "nncf", "optuna", "pillow")
            },
            "load": [round(load, 2) for load in self.loads],
            "backbone": arguments.backbone,
            "counts": self.counts,
            "classes": self.classes,
            "batch_size": BATCH,
            "rounds": arguments.rounds,
            "share": arguments.share,
            "trials": arguments.trials,
            "epochs": arguments.epochs,
            "kennel": {
                **vars(self.kennel),
                "rate": ours,
                "quantization_seconds": statistics.median(self.kennel.quantization),
                "tuning_seconds": tuning,
            },
            "baselines": [
                {
                    "name": each.name,
                    "rates": each.rates,
                    "rate": statistics.median(each.rates),
                    "seconds_a_photo": each.seconds,
                    "cpu_seconds_a_photo": each.cpu,
                    "tuning_seconds": each.tuning(*plan),
                    "extraction_ratio": ours / statistics.median(each.rates),
                    "extraction_cpu_ratio": statistics.median(each.cpu) / ours_cpu,
                    "extraction_target": each.extraction_target,
                    "tuning_ratio": each.tuning(*plan) / tuning,
                    "tuning_cpu_ratio": each.processor(*plan) / tuning_cpu,
                    "tuning_target": each.tuning_target,
                }
                for each in self.baselines
            ],
            "accuracy": dict(accuracies),
        }


def targets_met(result: Mapping[str, Any]) -> bool:
    fast = all(
        each["extraction_ratio"] >= each["extraction_target"]
        and each["tuning_ratio"] >= each["tuning_target"]
        for each in result["baselines"]
    )
    return fast and all(each["kennel"] >= each["replaced"] for each in result["accuracy"].values())


def arguments_of(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of train, valid and test")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=1, help="of the photos, for the replaced script")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--backbone", default=weights.RESNET)
    parser.add_argument(
        "--accuracy", nargs="*", default=[weights.TRAINED], help="backbones to train to the end"
    )
    parser.add_argument("--weights", type=Path, help="folder that keeps the weights' files")
    parser.add_argument("--json", type=Path, help="file for all that was measured")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md and its picture")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    arguments = arguments_of(argv)
    with tempfile.TemporaryDirectory(prefix="kennel-bench-") as folder:
        bench = Bench(arguments, Path(folder))
        bench.measure()
        result = bench.result({backbone: bench.accuracy(backbone) for backbone in arguments.accuracy})
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(training_report.table(result))
    if arguments.write:
        training_report.write(result, ROOT / "docs")
    return 0 if targets_met(result) else 1


if __name__ == "__main__":
    sys.exit(main())
