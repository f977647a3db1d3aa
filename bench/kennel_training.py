"""What `bench/training.py` measures of Kennel: each measurement is a process that prints a JSON object at its end."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from ml.config import TrainConfig
from ml.data import SPLITS, load_dataset
from ml.feature_cache import FeatureCache
from ml.weights import load_backbone


def extract(config: TrainConfig, work_dir: Path) -> dict[str, Any]:
    """A pass of all photos through the backbone, with an empty cache of features; and its quantization, apart."""
    from ml import quantize
    from ml.features import extract as extract_features
    from ml.features import resolve_precision

    dataset = load_dataset(config.data, seed=config.seed, work_dir=work_dir, progress=False)
    backbone = load_backbone(config.backbone, config.weights)
    samples = [sample for split in SPLITS for sample in dataset.split(split)]
    cache = FeatureCache(work_dir / "features", limit=2**30)
    precision = resolve_precision(config.precision, backbone, len(samples))
    started = time.perf_counter()
    if precision == "int8":
        quantize.graph(backbone, quantize.chosen(dataset.train), cache)
    quantized = time.perf_counter()
    extract_features(
        samples,
        backbone,
        cache=cache,
        precision=precision,
        calibration=dataset.train,
        progress=False,
    )
    return {
        "photos": len(samples),
        "seconds": time.perf_counter() - quantized,
        "quantization": quantized - started,
        "precision": precision,
    }


def tune(config: TrainConfig, work_dir: Path, trials: int) -> dict[str, Any]:
    """A study from nothing: the photos are looked at, features computed, trials run."""
    from ml.search_space import SearchSpace
    from ml.tune.study import tune as run_study

    tuned = run_study(config, SearchSpace.load(), trials=trials, work_dir=work_dir, progress=False)
    return {
        "trials": len(tuned.trials),
        "pruned": sum(trial.state == "pruned" for trial in tuned.trials),
        "config": tuned.config.to_dict(),
    }


def train(config: TrainConfig, work_dir: Path) -> dict[str, Any]:
    """The final training, with what it comes to on the test split."""
    from ml.train import train as run_training

    result = run_training(config, runs_dir=work_dir / "runs", work_dir=work_dir, progress=False)
    assert result is not None
    return {"accuracy": result.evaluation.accuracy}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("extract", "tune", "train"))
    parser.add_argument("--config", type=Path, required=True, help="JSON of training settings")
    parser.add_argument("--work-dir", type=Path, required=True, help="for the cache; empty at first")
    parser.add_argument("--trials", type=int, default=20)
    arguments = parser.parse_args()
    config = TrainConfig.from_dict(json.loads(arguments.config.read_text()))
    if arguments.what == "extract":
        found = extract(config, arguments.work_dir)
    elif arguments.what == "tune":
        found = tune(config, arguments.work_dir, arguments.trials)
    else:
        found = train(config, arguments.work_dir)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
