"""The data set for when none is named: the handwritten digits that come with scikit-learn, as images."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from ml.data.dataset import Sample
from ml.data.files import building
from ml.data.splits import split_off

SIZE = 64  # pixels, width and height

_FORMAT = 2  # to be raised whenever the images change


def write_digits(folder: Path, *, seed: int) -> Path:
    """Writes train|valid|test/<digit>/<number>.png below `folder`, unless they are there.

    1,797 images; UCI Optical Recognition of Handwritten Digits, 8 × 8 pixels of 0 … 16 each.
    """
    from sklearn.datasets import load_digits  # here, since it takes a second that most tasks need not pay

    target = folder / f"format{_FORMAT}-seed{seed}"
    with building(target) as part:
        if part is not None:
            digits = load_digits()
            data = [_png(image) for image in digits.images]
            samples = [
                Sample(int(label), hashlib.sha256(png).hexdigest(), Path(f"{label}/{number:04}.png"))
                for number, (label, png) in enumerate(zip(digits.target, data, strict=True))
            ]
            for split, chosen in split_off(samples, ["valid", "test"], seed).items():
                for sample in chosen:
                    path = part / split / sample.path
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data[int(path.stem)])
    return target


def _png(image: np.ndarray) -> bytes:
    """A digit, dark on white as on paper, of an 8 × 8 array of 0 … 16."""
    # The digits fill their 8 × 8 pixels; with a margin, a centre crop cuts nothing off.
    pixels = np.round(255 - np.pad(image, 2) * (255 / 16)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(buffer, "PNG", optimize=False)
    return buffer.getvalue()
