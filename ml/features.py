"""Each image, and each augmented view of it, through the frozen backbone, once, ever."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import TypeVar

import numpy as np
import PIL
from tqdm import tqdm

from ml import augment as augmentation
from ml import quantize
from ml.data import Sample
from ml.decoding import Key, decoded
from ml.distributed import SINGLE, Group
from ml.errors import KennelError
from ml.extractors import extractor_type
from ml.feature_cache import SHARD_ROWS, FeatureCache, Features
from ml.precision import resolve_precision
from ml.serving import images, preprocessing
from ml.weights import LoadedBackbone

__all__ = ["extract", "resolve_precision"]

T = TypeVar("T")


def extract(
    samples: Sequence[Sample],
    backbone: LoadedBackbone,
    *,
    cache: FeatureCache | None,  # None: nothing is kept
    precision: str = "f32",
    calibration: Sequence[Sample] = (),  # the training photos, for int8
    views: int = 0,  # augmented ones, besides the plain one
    augment: str = "none",
    seed: int = 0,  # of the augmentation
    group: Group = SINGLE,
    progress: bool = True,
) -> Features:
    """Features [N, D] of the samples, in their order; with views [N, 1 + views, D], the plain one first.

    What is in the cache is not done again, and an interrupted run goes on where it stopped. Each process of the
    group does its share and gets everything. Raises `KennelError`, in all of them, where an image is unreadable.
    """
    numbers = resolve_precision(precision, backbone, len(samples))
    extractor = extractor_type()
    arithmetic = [extractor.describe(numbers)]
    chosen = quantize.chosen(calibration) if numbers == "int8" else []
    if numbers == "int8":
        arithmetic += [quantize.describe(), *(sample.sha256 for sample in chosen)]
    shelf = _Shelf(cache, _space(backbone, arithmetic), _space(backbone, arithmetic, augment, seed))
    wanted = {sample.sha256: sample for sample in samples}
    keys = [(sha256, view) for sha256 in wanted for view in range(1 + views)]
    rows = shelf.read(keys)
    held = group.gather(set(rows))
    missing = set(keys).difference(*held)

    if any(len(each) < len(keys) for each in held):
        graph = None
        if numbers == "int8" and missing:
            graph = _together(
                group, lambda: quantize.graph(backbone, chosen, cache) if group.is_main else None
            )[0]

        def share() -> dict[Key, Features]:
            """Does this process's part, and returns the rows that another one lacks."""
            photos = [
                (sample, [view for view in range(1 + views) if (sha256, view) in missing])
                for sha256, sample in wanted.items()
            ]
            mine = group.share([photo for photo in photos if photo[1]])
            bar = tqdm(
                total=len(keys),
                initial=len(keys) - len(missing),
                desc="features",
                unit="img",
                disable=None if progress else True,
            )
            if mine:
                frames = decoded(mine, backbone.preprocessing, augment=augment, seed=seed)
                with bar, shelf:
                    for key, row in extractor(backbone, numbers, graph).run(frames):
                        rows[key] = row
                        shelf.add(key, row)
                        bar.update(group.world)
            known = set.intersection(*held).union(*held[: group.rank])
            return {key: row for key, row in rows.items() if key not in known}

        for others in _together(group, share):
            rows.update(others)
    stacked = np.stack([rows[sample.sha256, view] for sample in samples for view in range(1 + views)])
    return stacked.reshape(len(samples), 1 + views, -1) if views else stacked


def _together(group: Group, work: Callable[[], T]) -> list[T]:
    """The results of all processes; where one fails all do, instead of waiting for it."""
    outcome: T | KennelError
    try:
        outcome = work()
    except KennelError as error:
        outcome = error
    results: list[T] = []
    for each in group.gather(outcome):
        if isinstance(each, KennelError):
            raise each
        results.append(each)
    return results


class _Shelf:
    """The cache's rows of one backbone in one arithmetic: the plain ones, and apart from them the augmented."""

    def __init__(self, cache: FeatureCache | None, plain: str, augmented: str) -> None:
        self._cache = cache
        self._spaces = (plain, augmented)
        self._fresh: dict[str, dict[str, Features]] = {plain: {}, augmented: {}}

    def read(self, keys: Iterable[Key]) -> dict[Key, Features]:
        if self._cache is None:
            return {}
        places: dict[str, dict[str, Key]] = {space: {} for space in self._spaces}
        for key in keys:
            space, name = self._place(key)
            places[space][name] = key
        return {
            names[name]: row
            for space, names in places.items()
            if names
            for name, row in self._cache.read(space, names).items()
        }

    def add(self, key: Key, row: Features) -> None:
        space, name = self._place(key)
        self._fresh[space][name] = row
        if len(self._fresh[space]) == SHARD_ROWS:
            self._write(space)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        """Keeps what is done, also where the rest was not."""
        for space in self._spaces:
            self._write(space)
        if self._cache is not None:
            self._cache.evict()

    def _write(self, space: str) -> None:
        if self._cache is not None:
            self._cache.write(space, self._fresh[space])
        self._fresh[space] = {}

    def _place(self, key: Key) -> tuple[str, str]:
        sha256, view = key
        return (self._spaces[1], f"{sha256}-{view}") if view else (self._spaces[0], sha256)


def _space(backbone: LoadedBackbone, arithmetic: Sequence[str], *augmented: object) -> str:
    """Names all that the features depend on besides the image, so that a change of any starts afresh."""
    parts: dict[str, object] = {
        "backbone": backbone.name,
        "weights": backbone.digest,
        "preprocessing": backbone.preprocessing.to_dict(),
        "arithmetic": list(arithmetic),
        "pillow": PIL.__version__,
        "decoding": [_source_digest(module) for module in (images, preprocessing)],
    }
    if augmented:
        parts["augmented"] = [*augmented, _source_digest(augmentation)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _source_digest(module: ModuleType) -> str:
    return hashlib.sha256(inspect.getsource(module).encode()).hexdigest()
