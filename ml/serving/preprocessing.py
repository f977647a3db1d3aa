"""From an RGB image to the network's input: resize, centre crop, normalise, just as torchvision does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

INTERPOLATIONS: Final = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
MAX_ASPECT: Final = 16


@dataclass(frozen=True)
class Preprocessing:
    """What a backbone was trained on, and therefore has to be given."""

    resize: int  # pixels, the shorter side
    crop: int  # pixels, both sides
    interpolation: str  # one of INTERPOLATIONS
    mean: tuple[float, float, float]  # of channel values in [0, 1]
    std: tuple[float, float, float]
    # JPEGs are decoded so much larger than `resize`, at least, and not larger than that needs; None: whole.
    decode_margin: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= self.resize <= 4096:
            raise ValueError(
                f"crop is {self.crop}, resize {self.resize}; 1 <= crop <= resize <= 4096 must hold."
            )
        if self.interpolation not in INTERPOLATIONS:
            choices = ", ".join(INTERPOLATIONS)
            raise ValueError(f"interpolation is {self.interpolation!r}; one of {choices} is needed.")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 3 or not all(math.isfinite(value) for value in values):
                raise ValueError(f"{name} is {values}; three finite numbers are needed.")
        if min(self.std) <= 0:
            raise ValueError(f"std is {self.std}; three positive numbers are needed.")
        if self.decode_margin is not None and not 1 <= self.decode_margin <= 16:
            raise ValueError(f"decode_margin is {self.decode_margin}; None or 1 to 16 is needed.")

    @property
    def decoded_side(self) -> int | None:
        """Pixels that the shorter side of a decoded JPEG needs; None: all that it has."""
        return None if self.decode_margin is None else math.ceil(self.decode_margin * self.resize)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Raises ValueError on a missing, unknown or impossible value."""
        try:
            mean, std = tuple(values["mean"]), tuple(values["std"])
            return cls(**{**values, "mean": mean, "std": std})
        except (KeyError, TypeError) as error:
            keys = ", ".join(cls.__dataclass_fields__)
            raise ValueError(f"preprocessing has {sorted(values)}; exactly {keys} are needed.") from error

    def pixels(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """[crop, crop, 3], as the engine takes them; `image` is RGB."""
        return np.array(self.frame(image))  # writable, as PyTorch wants arrays

    def apply(self, image: Image.Image) -> npt.NDArray[np.float32]:
        """float32 [3, crop, crop], contiguous; `image` is RGB."""
        return self.normalize(self.frame(image))

    def frame(self, image: Image.Image) -> Image.Image:
        """The part that the network sees, in its size: crop x crop pixels."""
        image = _resize_shorter_side(_middle(image), self.resize, INTERPOLATIONS[self.interpolation])
        left, top = (round((side - self.crop) / 2) for side in image.size)
        return image.crop((left, top, left + self.crop, top + self.crop))

    def normalize(self, image: Image.Image) -> npt.NDArray[np.float32]:
        """float32 [3, H, W], contiguous, of an RGB image [H, W]."""
        # Through a table of the 256 values a channel has: a quarter of the time of computing each pixel's.
        values = np.arange(256, dtype=np.float32) / np.float32(255)
        levels = np.asarray(image)  # [H, W, 3]
        pixels = np.empty((3, *levels.shape[:2]), np.float32)
        for channel, (mean, std) in enumerate(zip(self.mean, self.std, strict=True)):
            table = (values - np.float32(mean)) / np.float32(std)
            np.take(table, levels[:, :, channel], out=pixels[channel], mode="clip")  # "raise" would buffer
        return pixels


def _middle(image: Image.Image) -> Image.Image:
    """The middle of a strip: the crop sees no more, and the memory to resize it grows with its ratio."""
    longest = MAX_ASPECT * min(image.size)
    if max(image.size) <= longest:
        return image
    width, height = (min(side, longest) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _resize_shorter_side(image: Image.Image, target: int, resampling: Image.Resampling) -> Image.Image:
    width, height = image.size
    if width <= height:
        return image.resize((target, int(target * height / width)), resampling)
    return image.resize((int(target * width / height), target), resampling)
