from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss

from ml.errors import KennelError
from ml.evaluate import PrecisionCost, evaluate, reliability_bins, softmax, wilson_interval

CLASSES = ("cat", "dog", "fox")


def scores(predicted: list[int], classes: int = 3, margin: float = 5.0) -> np.ndarray:
    """Logits [N, C] that predict these labels."""
    return np.eye(classes)[predicted] * margin


def test_the_metrics_of_a_small_example_computed_by_hand() -> None:
    result = evaluate(scores([0, 0, 1, 1, 1, 0]), [0, 0, 1, 1, 2, 2], CLASSES)
    assert result.accuracy == pytest.approx(4 / 6)
    assert result.balanced_accuracy == pytest.approx(2 / 3)
    assert result.macro_f1 == pytest.approx((0.8 + 0.8 + 0) / 3)
    assert result.confusion == ((2, 0, 0), (0, 2, 0), (1, 1, 0))
    cat, _, fox = result.per_class
    assert (cat.name, cat.precision, cat.recall, cat.support, cat.predicted) == ("cat", 2 / 3, 1.0, 2, 3)
    assert (fox.precision, fox.recall, fox.f1, fox.support, fox.predicted) == (0, 0, 0, 2, 0)
    assert result.count == 6
    assert result.top5_accuracy is None


@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(1, 60))
def test_the_metrics_agree_with_scikit_learn(seed: int, classes: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(count, classes)) * 3, rng.integers(0, classes, count)
    labels[0], labels[-1] = 0, classes - 1
    predicted, present = logits.argmax(axis=1), np.unique(labels)
    result = evaluate(logits, labels, [f"{i}" for i in range(classes)])
    assert result.accuracy == pytest.approx((predicted == labels).mean())
    assert result.macro_f1 == pytest.approx(
        f1_score(labels, predicted, labels=present, average="macro", zero_division=0)
    )
    assert result.nll == pytest.approx(log_loss(labels, softmax(logits), labels=range(classes)))
    if len(present) > 1 and set(predicted) <= set(present):
        assert result.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert np.sum(result.confusion) == count
    assert sum(each.count for each in result.reliability) == count


def test_a_class_without_photos_does_not_lower_the_means() -> None:
    result = evaluate(scores([0, 1]), [0, 1], CLASSES)
    assert (result.balanced_accuracy, result.macro_f1) == (1.0, 1.0)
    assert result.per_class[2].support == 0


def test_calibration_is_the_distance_between_probability_and_share_of_hits() -> None:
    # Ten predictions at probability 0.8, of which six are right.
    logits = np.tile(np.log([0.8, 0.1, 0.1]), (10, 1))
    result = evaluate(logits, [0] * 6 + [1] * 4, CLASSES)
    assert result.ece == pytest.approx(0.2)
    (filled,) = [each for each in result.reliability if each.count]
    assert (filled.lower, filled.upper) == pytest.approx((11 / 15, 12 / 15))
    assert (filled.count, filled.confidence, filled.accuracy) == pytest.approx((10, 0.8, 0.6))
    assert len(result.reliability) == 15


def test_a_probability_on_an_edge_is_counted_once_and_in_the_lower_bin() -> None:
    bins = reliability_bins(np.array([0.5, 0.75, 1.0]), np.array([True, True, False]), count=4)
    assert [each.count for each in bins] == [0, 1, 1, 1]


def test_top_5_accuracy_counts_the_first_five() -> None:
    logits = -np.arange(7.0)[None].repeat(7, axis=0)
    assert evaluate(logits, list(range(7)), list("abcdefg")).top5_accuracy == pytest.approx(5 / 7)


def test_an_extreme_score_gives_a_large_loss_not_an_infinite_one() -> None:
    result = evaluate([[1e4, 0.0]], [1], ["a", "b"])
    assert result.nll == pytest.approx(1e4)
    json.dumps(result.to_dict(), allow_nan=False)


def test_the_result_goes_into_json_and_back() -> None:
    result = evaluate(scores([0, 1, 2, 0]).astype(np.float32), np.array([0, 1, 2, 2]), CLASSES).to_dict()
    assert json.loads(json.dumps(result, allow_nan=False))["per_class"][2]["name"] == "fox"


def test_the_summary_holds_what_is_defined() -> None:
    few = evaluate(scores([0]), [0], CLASSES).summary()
    assert list(few) == ["accuracy", "balanced_accuracy", "macro_f1", "nll", "ece"]
    many = evaluate(scores([0], 6), [0], list("abcdef")).summary()
    assert many["top5_accuracy"] == 1.0


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (188, 200, 0.8981, 0.9653)],
)
def test_the_interval_of_the_accuracy_is_wilsons(hits: int, count: int, low: float, high: float) -> None:
    assert wilson_interval(hits, count) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("logits", "labels", "rule"),
    [
        (np.zeros((2, 4)), [0, 1], "must have the shape"),
        (np.zeros(3), [0], "must have the shape"),
        (np.zeros((2, 3)), [0], "one label a row"),
        (np.zeros((0, 3)), np.zeros(0, int), "at least one photo"),
        (np.zeros((1, 3)), [0.0], "whole numbers"),
        (np.zeros((1, 3)), [3], "must lie in 0 … 2"),
        (np.zeros((1, 3)), [-1], "must lie in 0 … 2"),
        ([[math.nan, 0, 0]], [0], "must be finite"),
        ([[math.inf, 0, 0]], [0], "must be finite"),
    ],
)
def test_what_cannot_be_measured_is_refused(logits: object, labels: object, rule: str) -> None:
    with pytest.raises(KennelError, match=rule):
        evaluate(logits, labels, CLASSES)  # type: ignore[arg-type]


def test_one_class_is_too_few_to_measure() -> None:
    with pytest.raises(KennelError, match="at least two classes"):
        evaluate([[0.0]], [0], ["a"])


def test_what_faster_features_cost_is_told_in_words() -> None:
    assert PrecisionCost("f32").words is None
    assert (
        PrecisionCost("int8", 0.945, 0.95).words
        == "int8: 94.5% right with them, 95.0% as the model is served"
    )
