from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops.artifacts import Model
from ops.review import models
from ops.review.facts import Metric


def model(name: str, **metrics: float) -> Model:
    return Model(f"model-{name}", name * 64, metrics)


@pytest.fixture
def manifests(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What is in the archives, by the model's name."""
    known: dict[str, dict[str, Any]] = {}
    monkeypatch.setattr(models, "manifest_of", lambda one: known.get(one.name) if one else None)
    return known


def test_a_model_that_stays_is_not_compared() -> None:
    assert models.compare(model("a"), model("a", accuracy=0.9)) is None
    assert models.compare(None, None) is None


def test_metrics_stand_side_by_side_with_which_is_better(manifests: dict[str, dict[str, Any]]) -> None:
    pair = models.compare(
        model("a", accuracy=0.91, ece=0.05, nll=0.3), model("b", accuracy=0.93, ece=0.07, nll=0.3)
    )
    assert pair is not None
    assert (pair.before, pair.after) == ("model-a", "model-b")
    assert pair.metrics == (
        Metric("test accuracy", "91.0%", "93.0%", better=True),
        Metric("negative log-likelihood", "0.3000", "0.3000", better=None),
        Metric("calibration error", "0.0500", "0.0700", better=False),
    )


def test_a_metric_that_one_of_them_lacks_is_neither_better_nor_worse() -> None:
    pair = models.compare(model("a"), model("b", accuracy=0.9))
    assert pair is not None
    assert pair.metrics == (Metric("test accuracy", None, "90.0%"),)


def test_a_first_model_and_the_last_one_are_told() -> None:
    first, last = models.compare(None, model("a")), models.compare(model("a"), None)
    assert first is not None
    assert last is not None
    assert (first.before, first.after, last.before, last.after) == (None, "model-a", "model-a", None)


def test_classes_and_the_serving_precision_come_from_the_archives(
    manifests: dict[str, dict[str, Any]],
) -> None:
    manifests["model-a"] = {"classes": ["beagle", "boxer"], "engine": {"precision": "f32"}}
    manifests["model-b"] = {"classes": ["boxer", "pug", "collie"], "engine": {"precision": "int8"}}
    pair = models.compare(model("a"), model("b"))
    assert pair is not None
    assert pair.metrics == (Metric("classes", "2", "3"), Metric("served in", "f32", "int8"))
    assert pair.notes == ("Classes lost: beagle.", "New classes: pug, collie.")


def test_what_was_measured_on_other_photos_is_not_called_better(manifests: dict[str, dict[str, Any]]) -> None:
    manifests["model-a"] = {"data": {"test_digest": "1"}}
    manifests["model-b"] = {"data": {"test_digest": "2"}}
    pair = models.compare(model("a", accuracy=0.91), model("b", accuracy=0.7))
    assert pair is not None
    assert pair.metrics == (Metric("test accuracy", "91.0%", "70.0%", better=None),)
    assert pair.notes == ("Measured on different test photos: the figures cannot be compared.",)


def test_an_archive_that_is_not_here_or_none_of_ours_has_no_manifest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ops.artifacts.ARTIFACTS", tmp_path)
    assert models.manifest_of(model("c")) is None
    archive = model("d").archive
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"no archive")
    assert models.manifest_of(model("d")) is None
    assert models.manifest_of(None) is None
