"""Which precision serves: the fastest one that is as accurate as f32, by what is measured on validation photos."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ml.data import Sample
from ml.decoding import decoded
from ml.errors import KennelError
from ml.export import precisions
from ml.export.speed import SpeedCache, measured
from ml.feature_cache import FeatureCache
from ml.precision import Precision, processor_name
from ml.serving.network import Network
from ml.serving.networks import OpenVinoNetwork
from ml.serving.preprocessing import Preprocessing
from ml.serving.processors import processors

PHOTOS = 500  # of the validation split at most: 75 MB of pixels
ACCURACY = 0.005  # at most so much of the validation accuracy is given for speed
GAIN = 1.1  # times as fast as a more exact one: the stopwatch's last digits must not choose
TOLERANCE = (
    1e-3  # of logits, relative to the largest: f32 here and in PyTorch differ in the order of their sums
)
_CHUNK = 64

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Candidate:
    precision: Precision
    why: str  # it serves, or does not
    top1: float | None = None  # on validation photos
    agreement: float | None = None  # share of photos with f32's answer
    difference: float | None = None  # of logits from f32's, at most, relative to the largest
    photos_per_core_second: float | None = None


@dataclass(frozen=True)
class Choice:
    precision: Precision
    model: Path  # .xml
    candidates: tuple[Candidate, ...]
    photos: tuple[Sample, ...]  # of the validation split, that it was measured on
    logits: Logits  # of the chosen on them
    network: OpenVinoNetwork  # the chosen

    def to_dict(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "precision": self.precision,
            "photos": len(self.photos),
            "processor": processor_name(),
            "candidates": [dataclasses.asdict(candidate) for candidate in self.candidates],
        }


def choose(
    network: Network,
    preprocessing: Preprocessing,
    *,
    train: Sequence[Sample],  # int8 is calibrated on some of these
    valid: Sequence[Sample],
    wanted: str,  # a precision, or "auto"
    cache: FeatureCache | None,
    speeds: Path,  # a folder
    folder: Path,  # for the graphs
) -> Choice:
    precisions.check(wanted)
    photos = sorted({photo.sha256: photo for photo in valid}.values(), key=lambda photo: photo.sha256)
    photos = photos[:PHOTOS]
    frames = np.stack([frame for _, frame in decoded([(photo, [0]) for photo in photos], preprocessing)])
    labels = np.array([photo.label for photo in photos])
    names = precisions.ALL if wanted == "auto" else ("f32", *({cast(Precision, wanted)} - {"f32"}))
    shelf = SpeedCache(speeds, _measured_of(network, preprocessing)) if wanted == "auto" else None

    refused: dict[Precision, str] = {}
    models: dict[Precision, Path] = {}
    graphs: dict[Precision, OpenVinoNetwork] = {}
    logits: dict[Precision, Logits] = {}
    speed = dict(shelf.read()) if shelf else {}
    for name in names:
        if (reason := precisions.unable(name)) is not None:
            refused[name] = reason
            continue
        try:
            models[name] = precisions.write(name, network, preprocessing, train, cache, folder)
        except KennelError as error:
            if wanted != "auto":
                raise
            refused[name] = str(error.received)
            continue
        graphs[name] = OpenVinoNetwork(models[name], name, processors().cores, alone=False)
        logits[name] = answers(graphs[name], frames)
        if shelf is not None and name not in speed:
            speed[name] = measured(functools.partial(answers, graphs[name], frames), len(frames))
    if shelf and speed.keys() != shelf.read().keys():
        shelf.write(speed)

    candidates = [
        _candidate(name, logits[name], logits["f32"], labels, speed.get(name))
        if name in logits
        else Candidate(name, refused[name])
        for name in names
    ]
    chosen = cast(Precision, wanted) if wanted != "auto" else best(candidates)
    return Choice(
        chosen,
        models[chosen],
        tuple(
            dataclasses.replace(each, why=verdict(each, chosen, wanted, candidates)) for each in candidates
        ),
        tuple(photos),
        logits[chosen],
        graphs[chosen],
    )


def answers(network: OpenVinoNetwork, frames: Iterable[NDArray[np.uint8]]) -> Logits:
    """Logits [N, C] of frames [crop, crop, 3]."""
    done: list[Logits] = []
    left = iter(frames)
    while chunk := list(itertools.islice(left, _CHUNK)):
        done.append(network(np.stack(chunk)))
    return np.concatenate(done)


def _measured_of(network: Network, preprocessing: Preprocessing) -> dict[str, Any]:
    cores = processors().cores
    return {
        "network": str(network),
        "crop": preprocessing.crop,
        "processor": processor_name(),
        "cores": cores,
        "versions": precisions.versions(),
    }


def _candidate(
    precision: Precision, logits: Logits, exact: Logits, labels: NDArray[np.int64], speed: float | None
) -> Candidate:
    answers = logits.argmax(1)
    return Candidate(
        precision,
        "",
        top1=round(float((answers == labels).mean()), 6),
        agreement=round(float((answers == exact.argmax(1)).mean()), 6),
        difference=round(difference(logits, exact), 6),
        photos_per_core_second=speed,
    )


def difference(logits: Logits, exact: Logits) -> float:
    """At most, relative to the largest score."""
    return float(np.abs(logits - exact).max() / max(1.0, np.abs(exact).max()))


def _failure(candidate: Candidate, exact: Candidate) -> str | None:
    """What forbids to serve it."""
    loss = (exact.top1 or 0.0) - (candidate.top1 or 0.0)
    return f"{100 * loss:.1f} points less accurate than f32" if loss > ACCURACY + 1e-9 else None


def best(candidates: Sequence[Candidate]) -> Precision:
    exact = best = candidates[0]
    for candidate in candidates[1:]:
        if candidate.top1 is None or _failure(candidate, exact) is not None:
            continue
        if (candidate.photos_per_core_second or 0) >= GAIN * (best.photos_per_core_second or 0):
            best = candidate
    return best.precision


def verdict(candidate: Candidate, chosen: Precision, wanted: str, candidates: Sequence[Candidate]) -> str:
    if candidate.top1 is None:
        return candidate.why
    if wanted != "auto":
        return "asked for" if candidate.precision == chosen else "to compare with"
    if candidate.precision == chosen:
        return "the fastest that is as accurate as f32" if chosen != "f32" else "nothing else is better"
    if (failure := _failure(candidate, candidates[0])) is not None:
        return failure
    order = precisions.ALL
    if order.index(candidate.precision) > order.index(chosen):
        return f"not a tenth faster than {chosen}, which is more exact"
    return f"slower than {chosen}"
