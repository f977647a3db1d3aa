from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ml.data import Dataset
from tests.ml.fine_tune.material import write_photos


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small only wait for one another's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("fine-tune") / "photos")


@pytest.fixture(scope="session")
def dataset(photos: Path) -> Dataset:
    from tests.ml.fine_tune.material import read_photos

    return read_photos(photos)
