from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from ml.data import Sample
from ml.export.decoding import STAND_INS, decoding
from ml.serving.networks import Floats, Pixels
from ml.serving.preprocessing import Preprocessing
from tests.ml.serving.samples import encode, photo

PREPROCESSING = Preprocessing(40, 32, "bicubic", (0.5,) * 3, (0.5,) * 3)


class Brightness:
    """Answers by the mean of the pixels, which decoding at a smaller scale leaves alone."""

    def __call__(self, pixels: Pixels) -> Floats:
        mean = pixels.mean(axis=(1, 2, 3), dtype=np.float32)
        return np.stack([mean, 255 - mean], axis=1)


class Pedant:
    """Answers by the last bits of the pixels."""

    def __call__(self, pixels: Pixels) -> Floats:
        odd = pixels.sum(axis=(1, 2, 3), dtype=np.int64) % 64
        return np.eye(64, dtype=np.float32)[odd]


def samples(folder: Path, size: tuple[int, int], kind: str = "JPEG", count: int = 70) -> list[Sample]:
    found = []
    for seed in range(count):
        content = encode(photo(size, seed), kind)
        path = folder / f"{seed}.{kind}"
        path.write_bytes(content)
        found.append(Sample(0, hashlib.sha256(content).hexdigest(), path))
    return found


def test_photos_of_cameras_are_decoded_as_small_as_their_answers_allow(tmp_path: Path) -> None:
    changed, told = decoding(Brightness(), samples(tmp_path, (240, 180)), PREPROCESSING)  # type: ignore[arg-type]
    assert changed.decode_margin == 1.0
    assert changed.decoded_side == 40
    assert told == {"tried": [{"margin": 1.0, "photos": 64, "enlarged": False, "same": 64}]}


@pytest.mark.parametrize(("size", "kind"), [((60, 50), "JPEG"), ((240, 180), "PNG")])
def test_enlarged_copies_stand_in_for_what_is_never_decoded_smaller_and_prove_less(
    tmp_path: Path, size: tuple[int, int], kind: str
) -> None:
    changed, told = decoding(Brightness(), samples(tmp_path, size, kind), PREPROCESSING)  # type: ignore[arg-type]
    assert changed.decode_margin == 2.0
    assert told == {"tried": [{"margin": 2.0, "photos": STAND_INS, "enlarged": True, "same": STAND_INS}]}


def test_photos_are_decoded_whole_where_an_answer_changes(tmp_path: Path) -> None:
    changed, told = decoding(Pedant(), samples(tmp_path, (240, 180)), PREPROCESSING)  # type: ignore[arg-type]
    assert changed == PREPROCESSING
    assert [each["margin"] for each in told["tried"]] == [1.0, 1.5, 2.0]
    assert all(each["same"] < each["photos"] for each in told["tried"])
