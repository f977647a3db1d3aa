from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms

from ml.serving.preprocessing import INTERPOLATIONS, Preprocessing
from tests.ml.serving.samples import photo

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PREPROCESSING = Preprocessing(64, 56, "bicubic", MEAN, STD)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize(
    "size", [(200, 150), (150, 200), (201, 133), (64, 64), (64, 91), (30, 47), (640, 65), (3, 4), (960, 60)]
)
@pytest.mark.parametrize(("resize", "crop"), [(64, 56), (64, 64), (71, 64), (40, 39)])
def test_it_gives_bit_for_bit_what_torchvision_gives(
    size: tuple[int, int], resize: int, crop: int, interpolation: str
) -> None:
    reference = transforms.Compose(
        [
            transforms.Resize(resize, transforms.InterpolationMode(interpolation)),
            transforms.CenterCrop(crop),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    found = Preprocessing(resize, crop, interpolation, MEAN, STD).apply(noise(*size))
    np.testing.assert_array_equal(found, reference(noise(*size)).numpy())


def test_the_answer_is_contiguous_float32_in_channels_first_order() -> None:
    array = PREPROCESSING.apply(photo())
    assert (array.dtype, array.shape, array.flags["C_CONTIGUOUS"]) == (np.float32, (3, 56, 56), True)


@pytest.mark.parametrize("size", [(1, 1), (1, 1_000_000), (1_000_000, 1), (3, 500_000)])
def test_a_strip_of_any_length_takes_little_memory(size: tuple[int, int]) -> None:
    assert PREPROCESSING.apply(Image.new("RGB", size, "white")).shape == (3, 56, 56)


def test_of_a_long_strip_the_middle_is_seen() -> None:
    strip = Image.new("RGB", (10_000, 100), "black")
    strip.paste("white", (4900, 0, 5100, 100))
    white = (1 - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    np.testing.assert_allclose(
        PREPROCESSING.apply(strip), np.broadcast_to(white[:, None, None], (3, 56, 56)), 1e-5
    )


def test_the_pixels_that_the_engine_takes_are_those_that_are_normalized() -> None:
    pixels = PREPROCESSING.pixels(photo())
    assert (pixels.dtype, pixels.shape) == (np.uint8, (56, 56, 3))
    normalized = (pixels.astype(np.float32) / 255 - np.array(MEAN)) / np.array(STD)
    np.testing.assert_allclose(
        PREPROCESSING.apply(photo()), normalized.transpose(2, 0, 1), rtol=1e-5, atol=1e-6
    )


def test_jpegs_are_decoded_larger_than_they_are_needed() -> None:
    assert PREPROCESSING.decoded_side is None
    assert Preprocessing(64, 56, "bicubic", MEAN, STD, decode_margin=1.51).decoded_side == 97


def test_it_survives_json() -> None:
    assert Preprocessing.from_dict(PREPROCESSING.to_dict()) == PREPROCESSING


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop": 65}, r"crop is 65, resize 64; 1 <= crop <= resize <= 4096 must hold"),
        ({"crop": 0}, "crop is 0"),
        ({"resize": 5000}, "resize 5000"),
        ({"interpolation": "area"}, "interpolation is 'area'; one of nearest, bilinear, bicubic, lanczos"),
        ({"mean": [0.5, 0.5]}, "mean is .*; three finite numbers are needed"),
        ({"std": [0.5, 0.5, float("nan")]}, "std is .*; three finite numbers are needed"),
        ({"std": [0.5, 0.5, 0]}, "std is .*; three positive numbers are needed"),
        ({"decode_margin": 0.5}, "decode_margin is 0.5; None or 1 to 16 is needed"),
        ({"size": 3}, "exactly resize, crop, interpolation, mean, std, decode_margin are needed"),
        ({"crop": "56"}, "exactly resize, crop, interpolation, mean, std, decode_margin are needed"),
    ],
)
def test_impossible_values_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing.from_dict({**PREPROCESSING.to_dict(), **change})


def test_a_missing_value_is_refused() -> None:
    values = PREPROCESSING.to_dict()
    del values["mean"]
    with pytest.raises(
        ValueError, match="exactly resize, crop, interpolation, mean, std, decode_margin are needed"
    ):
        Preprocessing.from_dict(values)
