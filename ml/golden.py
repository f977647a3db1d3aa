"""The golden image: a validation photo that the model surely knows, to recognize a deployed model by."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ml.data import Sample
from ml.errors import KennelError
from ml.evaluate import softmax
from ml.serving.images import decode
from ml.serving.network import Network
from ml.serving.preprocessing import Preprocessing

FILE = "golden.png"
_TRIES = 20


@dataclass(frozen=True)
class Golden:
    content: bytes  # PNG
    label: int
    probability: float

    def to_dict(self) -> dict[str, str | int | float]:
        return {"file": FILE, "label": self.label, "probability": self.probability}


def choose(
    samples: Sequence[Sample], logits: NDArray[np.float32], network: Network, preprocessing: Preprocessing
) -> Golden:
    """The image of `samples` (logits [N, C]) that is right with the highest probability.

    It is encoded anew, so that no metadata of the photo gets into the archive, and asked again as it then is.
    """
    labels = np.array([sample.label for sample in samples])
    probabilities = softmax(logits)
    right = np.flatnonzero(probabilities.argmax(axis=1) == labels)
    best = right[np.argsort(-probabilities[right, labels[right]], kind="stable")]
    for index in best[:_TRIES]:
        content = _encode(decode(samples[index].path.read_bytes()), preprocessing.resize)
        pixels = torch.from_numpy(preprocessing.apply(decode(content)))
        with torch.inference_mode():
            answer = softmax(network(pixels[None]).numpy())[0]
        if answer.argmax() == labels[index]:
            return Golden(content, int(labels[index]), round(float(answer.max()), 6))
    raise KennelError(
        "A model must know at least one of its validation images",
        f"{len(right)} of {len(samples)} right",
        "train for longer, or look at the data in the report",
    )


def _encode(image: Image.Image, side: int) -> bytes:
    """PNG, scaled down until the shorter side has `side` pixels."""
    scale = side / min(image.size)
    if scale < 1:
        width, height = (max(side, round(length * scale)) for length in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
