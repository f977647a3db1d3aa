"""What serves answers as PyTorch in f32 does, on photos that no choice was made with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ml import artifact
from ml.config import TrainConfig
from ml.data import Sample, load_dataset
from ml.decoding import decoded
from ml.export import precisions
from ml.serving.engine import Engine
from ml.serving.network import NetworkSpec, build
from ml.train import RunResult, train

pytestmark = pytest.mark.long

BATCH = 50  # photos at once through PyTorch, whose threads wait for each other in every layer
AGREEMENT = {"f32": 1.0, "bf16": 0.99, "int8": 0.98}


def able(precision: str) -> bool:
    return precisions.unable(precision) is None  # type: ignore[arg-type]


def go(folder: Path, precision: str, data: str | None) -> RunResult:
    config = TrainConfig(data=data, serving_precision=precision)  # type: ignore[arg-type]
    result = train(config, runs_dir=folder / "runs", work_dir=folder / "work", progress=False)
    assert result is not None
    return result


def agreement(archive: Path, samples: list[Sample]) -> float:
    """Share of photos with the same answer from the archive as from its weights in PyTorch, decoded whole."""
    with artifact.unpacked(archive) as folder:
        engine = Engine.load(folder, "openvino")
        network = build(NetworkSpec.from_dict(engine.manifest.network))
        network.load_state_dict(load_file(folder / artifact.WEIGHTS))
        mean, std = (np.array(v, np.float32) for v in (engine.preprocessing.mean, engine.preprocessing.std))
        same = 0
        for start in range(0, len(samples), BATCH):
            photos = [(sample, [0]) for sample in samples[start : start + BATCH]]
            pixels = np.stack([frame for _, frame in decoded(photos, engine.preprocessing)])
            images = ((pixels.astype(np.float32) / 255 - mean) / std).transpose(0, 3, 1, 2)
            with torch.inference_mode():
                exact = network(torch.from_numpy(np.ascontiguousarray(images))).numpy()
            same += int((engine.infer(pixels).argmax(1) == exact.argmax(1)).sum())
        return same / len(samples)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_digits_are_answered_as_in_f32(work: Path, precision: str) -> None:
    if not able(precision):
        pytest.skip(f"a processor without {precision}")
    result = go(work, precision, None)
    engine = result.manifest["engine"]
    assert engine["precision"] == precision
    assert {each["precision"] for each in engine["candidates"]} == {"f32", precision}
    test = load_dataset(None, seed=0, work_dir=work / "work", progress=False).test[:100]
    assert agreement(result.archive, list(test)) >= AGREEMENT[precision]


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_dogs_are_answered_as_in_f32(work: Path, dog_images: Path, precision: str) -> None:
    if not able(precision):
        pytest.skip(f"a processor without {precision}")
    result = go(work, precision, str(dog_images))
    dataset = load_dataset(dog_images, seed=0, work_dir=work / "work", progress=False)
    unseen = [*dataset.test, *dataset.valid][
        :300
    ]  # half of the validation photos chose nothing but the epoch
    assert len(unseen) == 300
    assert agreement(result.archive, unseen) >= AGREEMENT[precision]
