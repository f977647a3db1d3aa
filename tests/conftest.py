"""What tests of several parts share."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MakePhotos = Callable[..., Path]

_LAYOUT = {
    "train/cat": 4,
    "train/dog": 4,
    "valid/cat": 2,
    "valid/dog": 2,
    "test/cat": 2,
    "test/dog": 2,
}


def pytest_unconfigure() -> None:
    """moto imports an SDK that opens a socket at once and leaves it open, which Python would tell at the end."""
    if "aws_xray_sdk.core" in sys.modules:
        sys.modules["aws_xray_sdk.core"].xray_recorder.emitter._socket.close()


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """What a test or the code in it does with signals ends with the test: Ctrl-C goes on ending the tests."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def dog_images() -> Path:
    """1,000 real photos of ten breeds, 60 train, 20 valid and 20 test each; not part of the repository."""
    beside = Path(__file__).parents[2] / "shared" / "data" / "dogImages"
    folder = Path(os.environ.get("KENNEL_TEST_PHOTOS") or beside)
    if not folder.is_dir():
        pytest.skip(f"no photos at {folder}; set KENNEL_TEST_PHOTOS")
    return folder


@pytest.fixture
def make_photos(tmp_path: Path) -> MakePhotos:
    """Writes small photos, each different, those of a class alike in colour: `make_photos({"train/cat": 4})`.

    Returns the folder that holds them; the same arguments give the same bytes.
    """

    def make(
        layout: Mapping[str, int] = _LAYOUT,
        *,
        folder: str = "photos",
        suffix: str = ".png",
        size: tuple[int, int] = (32, 24),
    ) -> Path:
        root = tmp_path / folder
        for where, count in layout.items():
            (root / where).mkdir(parents=True, exist_ok=True)
            colour = np.random.default_rng(list(Path(where).name.encode())).integers(40, 216, 3)
            noise = np.random.default_rng(list(where.encode()))
            for number in range(count):
                pixels = colour + noise.integers(-40, 40, (size[1], size[0], 3))
                image = Image.fromarray(pixels.astype(np.uint8))
                image.save(root / where / f"{Path(where).name}_{number:03}{suffix}")
        return root

    return make
