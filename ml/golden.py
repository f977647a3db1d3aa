"""The golden image: a validation photo that the model surely knows, to recognize a deployed model by."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.data import Sample
from ml.errors import KennelError
from ml.evaluate import softmax
from ml.serving.images import decode
from ml.serving.preprocessing import Preprocessing

FILE = "golden.png"
TOLERANCE = 0.02  # of the probability, at least; processors differ by far less
_TRIES = 20

Ask = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # pixels [N, H, W, 3] to logits [N, C]


@dataclass(frozen=True)
class Golden:
    content: bytes  # PNG
    label: int
    probability: float  # as it is served
    tolerance: float  # within which any engine gives it

    def to_dict(self) -> dict[str, str | int | float]:
        return {
            "file": FILE,
            "label": self.label,
            "probability": self.probability,
            "tolerance": self.tolerance,
        }


def choose(
    samples: Sequence[Sample],
    logits: NDArray[np.float32],
    served: Ask,
    exact: Ask,
    preprocessing: Preprocessing,
) -> Golden:
    """The image of `samples` (logits [N, C]) that is right with the highest probability.

    It is encoded anew, so that no metadata of the photo gets into the archive, and asked again as it then is: of what
    serves, and in f32, as another engine may compute it.
    """
    labels = np.array([sample.label for sample in samples])
    probabilities = softmax(logits)
    right = np.flatnonzero(probabilities.argmax(axis=1) == labels)
    best = right[np.argsort(-probabilities[right, labels[right]], kind="stable")]
    for index in best[:_TRIES]:
        content = _encode(decode(samples[index].path.read_bytes()), preprocessing.resize)
        pixels = preprocessing.pixels(decode(content))[None]
        answers = [softmax(ask(pixels))[0] for ask in (served, exact)]
        if all(answer.argmax() == labels[index] for answer in answers):
            probability, other = (float(answer.max()) for answer in answers)
            tolerance = max(TOLERANCE, round(2 * abs(probability - other), 3))
            return Golden(content, int(labels[index]), round(probability, 6), tolerance)
    raise KennelError(
        "A model must know at least one of its validation images",
        f"{len(right)} of {len(samples)} right",
        "train for longer, or look at the data in the report",
    )


def turned(image: Image.Image) -> list[Image.Image]:
    """The image, and how it never lay before a camera: engines have to agree on these, too."""
    return [image, image.rotate(90), image.rotate(180)]


def _encode(image: Image.Image, side: int) -> bytes:
    """PNG, scaled down until the shorter side has `side` pixels."""
    scale = side / min(image.size)
    if scale < 1:
        width, height = (max(side, round(length * scale)) for length in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
