"""Photos on their way to the backbone: read, decoded once, cut into their views, ahead of the one who asks."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ml import augment as augmentation
from ml.data import Sample
from ml.errors import KennelError
from ml.serving import images
from ml.serving.images import ImageError
from ml.serving.preprocessing import Preprocessing
from ml.serving.processors import cpu_count

Key = tuple[str, int]  # a photo's SHA-256, and its view: 0 is the plain one
Frame = NDArray[np.uint8]  # [crop, crop, 3]


def decoded(
    photos: Sequence[tuple[Sample, Sequence[int]]],  # with the views to make of each
    preprocessing: Preprocessing,
    *,
    augment: str = "none",
    seed: int = 0,
) -> Iterator[tuple[Key, Frame]]:
    """In the order of the photos, only so far ahead that memory stays bounded."""
    workers = cpu_count()
    ahead: collections.deque[Future[list[tuple[Key, Frame]]]] = collections.deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        try:
            for sample, views in photos:
                ahead.append(pool.submit(_frames, sample, views, preprocessing, augment, seed))
                if len(ahead) > 4 * workers:
                    yield from ahead.popleft().result()
            while ahead:
                yield from ahead.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _frames(
    sample: Sample, views: Sequence[int], preprocessing: Preprocessing, augment: str, seed: int
) -> list[tuple[Key, Frame]]:
    try:
        content = sample.path.read_bytes()
    except OSError as error:
        raise KennelError(
            "An image must be readable",
            f"{sample.path}: {error.strerror}",
            "check the file, then start again",
        ) from error
    if hashlib.sha256(content).hexdigest() != sample.sha256:
        raise KennelError(
            "Images must stay as they are while a run goes on", f"{sample.path} has changed", "start again"
        )
    try:
        image = images.decode(content, shorter=preprocessing.decoded_side)
    except ImageError as error:
        raise KennelError(
            "An image must be readable", f"{sample.path}: {error}", "remove or replace the file"
        ) from error
    return [
        (
            (sample.sha256, view),
            np.asarray(
                augmentation.frame(image, preprocessing, augment, seed=seed, photo=sample.sha256, view=view)
            ),
        )
        for view in views
    ]
