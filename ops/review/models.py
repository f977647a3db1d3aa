"""The deployed model beside the one to deploy."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ml.artifact import ArtifactError
from ops.artifacts import Model
from ops.review.facts import Metric, ModelPair

NOTEWORTHY = 0.01  # of accuracy: less is what another seed makes of the same photos
SHARES = {  # by name: what a person calls it
    "accuracy": "test accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "top5_accuracy": "top-5 accuracy",
}
ERRORS = {"nll": "negative log-likelihood", "ece": "calibration error"}  # less is better


def compare(deployed: Model | None, model: Model | None) -> ModelPair | None:
    """Return the two side by side; None where the model stays."""
    if (deployed and deployed.sha256) == (model and model.sha256):
        return None
    metrics = [*_measured(deployed, model), *_made(deployed, model)]
    return ModelPair(
        deployed.name if deployed else None,
        model.name if model else None,
        tuple(metrics),
        tuple(_notes(deployed, model)),
    )


def accuracy(model: Model | None) -> float | None:
    """Return its accuracy on its test photos."""
    return model.metrics.get("accuracy") if model else None


def on_other_photos(deployed: Model | None, model: Model | None) -> bool:
    """Tell whether the two are known to be measured on different test photos."""
    digests = [((manifest_of(one) or {}).get("data") or {}).get("test_digest") for one in (deployed, model)]
    return None not in digests and digests[0] != digests[1]


def classes(deployed: Model | None, model: Model | None) -> tuple[list[str], list[str]]:
    """Return the classes that the new one has lost and gained, as far as both archives are at hand."""
    before, after = _class_lists(deployed, model)
    return [name for name in before if name not in after], [name for name in after if name not in before]


def renumbered(deployed: Model | None, model: Model | None) -> list[tuple[str, int, int]]:
    """Return the classes that both know by another number each, with the numbers, likewise."""
    before, after = _class_lists(deployed, model)
    numbers = {name: number for number, name in enumerate(after)}
    return [
        (name, number, numbers[name])
        for number, name in enumerate(before)
        if numbers.get(name, number) != number
    ]


def _class_lists(deployed: Model | None, model: Model | None) -> tuple[list[str], list[str]]:
    before, after = ((manifest_of(one) or {}).get("classes") for one in (deployed, model))
    return (before, after) if before is not None and after is not None else ([], [])


def manifest_of(model: Model | None) -> dict[str, Any] | None:
    """Return the manifest in its archive; None where that is not on this machine, or is not one of ours."""
    return _read(model.name, model.sha256) if model else None


@lru_cache(maxsize=16)
def _read(name: str, sha256: str) -> dict[str, Any] | None:
    try:
        return Model(name, sha256, {}).manifest()
    except (ArtifactError, OSError):
        return None


def _measured(deployed: Model | None, model: Model | None) -> list[Metric]:
    before, after = ((one.metrics if one else {}) for one in (deployed, model))
    names = [*SHARES, *ERRORS]
    known = {*before, *after}
    ordered = [name for name in names if name in known] + sorted(known - {*names})
    comparable = not on_other_photos(deployed, model)
    return [_metric(name, before.get(name), after.get(name), comparable=comparable) for name in ordered]


def _metric(name: str, before: float | None, after: float | None, *, comparable: bool) -> Metric:
    better = None
    if before is not None and after is not None and before != after and comparable:
        better = (after > before) if name in SHARES else (after < before) if name in ERRORS else None
    return Metric(
        SHARES.get(name) or ERRORS.get(name) or name, _said(name, before), _said(name, after), better
    )


def _said(name: str, value: float | None) -> str | None:
    if value is None:
        return None
    return f"{value:.1%}" if name in SHARES else f"{value:.4f}"


def _made(deployed: Model | None, model: Model | None) -> list[Metric]:
    """Return what the archives are, where they are at hand."""
    found = []
    for name, told in (("classes", _classes), ("served in", _precision), ("archive", _size)):
        before, after = told(deployed), told(model)
        if before or after:
            found.append(Metric(name, before, after))
    return found


def _classes(model: Model | None) -> str | None:
    names = (manifest_of(model) or {}).get("classes")
    return None if names is None else str(len(names))


def _precision(model: Model | None) -> str | None:
    precision = ((manifest_of(model) or {}).get("engine") or {}).get("precision")
    return None if precision is None else str(precision)


def _size(model: Model | None) -> str | None:
    if model is None or not model.archive.is_file():
        return None
    return f"{model.archive.stat().st_size / 1e6:.1f} MB"


def _notes(deployed: Model | None, model: Model | None) -> list[str]:
    lost, gained = classes(deployed, model)
    notes = [
        f"{what}: {', '.join(names)}."
        for what, names in (("Classes lost", lost), ("New classes", gained))
        if names
    ]
    if on_other_photos(deployed, model):
        notes.append("Measured on different test photos: the figures cannot be compared.")
    return notes
