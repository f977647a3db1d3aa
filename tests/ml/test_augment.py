from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from ml import augment
from ml.serving.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(72, 64, "bilinear", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PHOTO = hashlib.sha256(b"photo").hexdigest()


def picture(width: int = 120, height: int = 90) -> Image.Image:
    """Redder to the right, greener to the bottom, with some noise in blue."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    noise = np.random.default_rng(0).uniform(0, 255, across.shape)
    return Image.fromarray(np.stack([across, down, noise], axis=-1).astype(np.uint8))


def pixels(
    how: str = "light",
    *,
    image: Image.Image | None = None,
    seed: int = 0,
    photo: str = PHOTO,
    view: int = 1,
) -> np.ndarray:
    return augment.pixels(image or picture(), PREPROCESSING, how, seed=seed, photo=photo, view=view)


@pytest.mark.parametrize(("how", "view"), [("none", 0), ("none", 3), ("light", 0), ("strong", 0)])
def test_the_plain_view_is_what_serving_sees(how: str, view: int) -> None:
    assert np.array_equal(pixels(how, view=view), PREPROCESSING.apply(picture()))


@pytest.mark.parametrize("how", ["light", "strong"])
def test_a_view_is_the_same_every_time_and_in_every_thread(how: str) -> None:
    expected = [pixels(how, view=view) for view in range(1, 20)]
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda view: pixels(how, view=view), range(1, 20)))
    assert np.array_equal(expected, again)
    assert expected[0].shape == (3, 64, 64)
    assert expected[0].dtype == np.float32


def test_the_global_generators_are_left_alone() -> None:
    before = np.random.get_state()[1].copy()
    pixels("strong")
    assert np.array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("how", ["light", "strong"])
def test_seed_photo_and_view_each_give_other_pixels(how: str) -> None:
    views = [pixels(how), pixels(how, view=2), pixels(how, seed=1), pixels(how, photo="0" * 64)]
    assert len({view.tobytes() for view in views}) == 4


def test_light_shows_at_least_half_of_the_photo_and_mirrors_half_of_the_views() -> None:
    mirrored = 0
    for view in range(1, 200):
        red, green, _ = pixels(view=view) * np.reshape(PREPROCESSING.std, (3, 1, 1)) + np.reshape(
            PREPROCESSING.mean, (3, 1, 1)
        )
        wide, high = abs(red[:, -1] - red[:, 0]).mean(), abs(green[-1] - green[0]).mean()
        assert 0.45 < wide * high <= 1.0
        assert 0.74 < (wide * 120) / (high * 90) < 1.35
        mirrored += red[:, -1].mean() < red[:, 0].mean()
    assert 70 < mirrored < 130


def test_strong_changes_the_colours_too() -> None:
    grey = Image.new("RGB", (120, 90), (100, 100, 100))
    light = {tuple(pixels("light", image=grey, view=view)[:, 32, 32]) for view in range(1, 20)}
    strong = {tuple(pixels("strong", image=grey, view=view)[:, 32, 32]) for view in range(1, 20)}
    assert len(light) == 1
    assert len(strong) > 10


@pytest.mark.parametrize("size", [(1000, 10), (10, 1000), (1, 1)])
def test_strips_and_specks_have_views_too(size: tuple[int, int]) -> None:
    for view in range(1, 10):
        assert np.isfinite(pixels("strong", image=picture(*size), view=view)).all()
