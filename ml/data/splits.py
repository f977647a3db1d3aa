"""Splitting off what a data set does not bring along."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from ml.data.dataset import SPLITS, Sample, Split

SHARES: Mapping[Split, float] = {"train": 0.70, "valid": 0.15, "test": 0.15}


def split_off(samples: Sequence[Sample], missing: Sequence[Split], seed: int) -> dict[Split, list[Sample]]:
    """Deals samples into train and the `missing` splits, class by class, at least one photo to each.

    A photo's place follows from the seed and its content: not from its name or the order of files, and
    adding a photo moves few others. Copies of a photo stay together: none is both trained on and tested.
    """
    result: dict[Split, list[Sample]] = {"train": [], **{split: [] for split in missing}}
    for label in sorted({sample.label for sample in samples}):
        of_class = [sample for sample in samples if sample.label == label]
        contents = sorted({sample.sha256 for sample in of_class}, key=lambda sha256: _rank(sha256, seed))
        places: dict[str, Split] = dict.fromkeys(contents, "train")
        for split in (split for split in SPLITS if split in missing):
            share = max(1, round(SHARES[split] * len(contents)))
            free = [sha256 for sha256 in contents if places[sha256] == "train"]
            places.update(dict.fromkeys(free[:share], split))
        for sample in of_class:
            result[places[sample.sha256]].append(sample)
    return result


def _rank(sha256: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{sha256}".encode()).digest()
