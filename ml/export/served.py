"""What goes into an archive besides the weights: graph, preprocessing, golden image, and how they were chosen."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ml import golden
from ml.data import Sample
from ml.decoding import decoded
from ml.export.choice import TOLERANCE, Choice, Logits, answers, choose, difference
from ml.export.decoding import decoding
from ml.feature_cache import FeatureCache
from ml.golden import Golden
from ml.serving.network import Network
from ml.serving.networks import OpenVinoNetwork
from ml.serving.preprocessing import Preprocessing

_LEAST = 0.05  # of logits: where less than f32 serves, PyTorch computes in bf16, and other processors round otherwise


@dataclass(frozen=True)
class Served:
    model: Path  # the graph's .xml
    preprocessing: Preprocessing
    golden: Golden
    engine: dict[str, Any]  # for the manifest
    answer: Callable[[Sequence[Sample]], Logits]  # as it will serve


def serve(
    network: Network,  # on the processor, in f32
    preprocessing: Preprocessing,
    *,
    train: Sequence[Sample],
    valid: Sequence[Sample],
    precision: str,  # or "auto"
    cache: FeatureCache | None,
    speeds: Path,
    folder: Path,  # for the graph
) -> Served:
    """Chooses precision and decoding; looks at training and validation photos only. Raises `KennelError`."""
    choice = choose(
        network,
        preprocessing,
        train=train,
        valid=valid,
        wanted=precision,
        cache=cache,
        speeds=speeds,
        folder=folder,
    )
    graph = choice.network
    preprocessing, tried = decoding(graph, choice.photos, preprocessing)

    def exact(pixels: NDArray[np.uint8]) -> Logits:
        images = [preprocessing.normalize(Image.fromarray(each)) for each in pixels]
        with torch.inference_mode():
            logits: Logits = network(torch.from_numpy(np.stack(images))).numpy()
            return logits

    chosen = golden.choose(choice.photos, choice.logits, graph, exact, preprocessing)
    engine = {
        **choice.to_dict(),
        "tolerance": _tolerance(choice, chosen, graph, exact, preprocessing),
        "decoding": tried,
    }

    def answer(samples: Sequence[Sample]) -> Logits:
        frames = decoded([(sample, [0]) for sample in samples], preprocessing)
        return answers(graph, (frame for _, frame in frames))

    return Served(choice.model, preprocessing, chosen, engine, answer)


def _tolerance(
    choice: Choice,
    chosen: Golden,
    graph: OpenVinoNetwork,
    exact: Callable[[NDArray[np.uint8]], Logits],
    preprocessing: Preprocessing,
) -> float:
    """Within which engines must agree: on the golden image as it is and turned, which archives are proven with."""
    if choice.precision == "f32":
        return TOLERANCE
    image = Image.open(io.BytesIO(chosen.content)).convert("RGB")
    turned = np.stack([preprocessing.pixels(each) for each in golden.turned(image)])
    return max(_LEAST, round(2 * difference(graph(turned), exact(turned)), 3))
