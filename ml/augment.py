"""Training photos, each seen a little differently: the same photo, seed and view always give the same pixels.

All chance comes from a generator made for the one view, so that any number of threads, processes and machines
may share the work.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from ml.errors import KennelError
from ml.serving.preprocessing import INTERPOLATIONS, Preprocessing

AUGMENTS: Final = ("none", "light", "strong")

SCALE: Final = (0.5, 1.0)  # of the photo's area, in the crop
RATIO: Final = (3 / 4, 4 / 3)  # of the crop's width to its height
JITTER: Final = 0.4  # of brightness, contrast and saturation, up or down
ROTATION: Final = 15.0  # degrees, either way
_TRIES: Final = 10

_ENHANCERS: Final = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
# Of RandAugment's operations (arXiv:1909.13719) those that leave colours what they are.
_DISTORTIONS: Final[tuple[Callable[[Image.Image, float], Image.Image], ...]] = (  # by an amount in [-1, 1]
    lambda image, amount: image.rotate(ROTATION * amount, Image.Resampling.BILINEAR),
    lambda image, amount: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * amount),
    lambda image, amount: ImageOps.posterize(image, 6 + round(amount)),
    lambda image, _: ImageOps.autocontrast(image),
    lambda image, _: ImageOps.equalize(image),
    lambda image, _: image,
)


def pixels(
    image: Image.Image, preprocessing: Preprocessing, augment: str, *, seed: int, photo: str, view: int
) -> NDArray[np.float32]:
    """float32 [3, crop, crop] of the photo (its SHA-256); view 0 is the plain one."""
    return preprocessing.normalize(frame(image, preprocessing, augment, seed=seed, photo=photo, view=view))


def frame(
    image: Image.Image, preprocessing: Preprocessing, augment: str, *, seed: int, photo: str, view: int
) -> Image.Image:
    """What `pixels` normalizes: RGB, crop x crop."""
    if augment not in AUGMENTS:
        raise KennelError(f"augment must be one of {', '.join(AUGMENTS)}", repr(augment), "use light")
    if augment == "none" or view == 0:
        return preprocessing.frame(image)
    digest = hashlib.sha256(f"{augment} {seed} {photo} {view}".encode()).digest()
    chance = np.random.default_rng(np.frombuffer(digest, np.uint32))
    side = preprocessing.crop
    image = image.resize((side, side), INTERPOLATIONS[preprocessing.interpolation], _box(image.size, chance))
    if chance.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if augment == "strong":
        for enhancer in chance.permutation(len(_ENHANCERS)):
            image = _ENHANCERS[enhancer](image).enhance(chance.uniform(1 - JITTER, 1 + JITTER))
        image = _DISTORTIONS[chance.integers(len(_DISTORTIONS))](image, chance.uniform(-1, 1))
    return image


def _box(size: tuple[int, int], chance: np.random.Generator) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a random crop; where none fits into a strip, of its middle."""
    width, height = size
    for _ in range(_TRIES):
        area = width * height * chance.uniform(*SCALE)
        ratio = math.exp(chance.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        wide, high = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if wide <= width and high <= height:
            break
    else:
        wide, high = min(width, height * RATIO[1]), min(height, width / RATIO[0])
        return (width - wide) / 2, (height - high) / 2, (width + wide) / 2, (height + high) / 2
    left, top = chance.uniform(0, width - wide), chance.uniform(0, height - high)
    return left, top, left + wide, top + high
