"""How good a classifier is, from its scores on photos it has not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml.errors import KennelError

CALIBRATION_BINS = 15  # Guo et al. 2017
_Z95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


@dataclass(frozen=True)
class ClassMetrics:
    name: str
    precision: float  # 0 where the class was never predicted
    recall: float  # 0 where the class has no photo
    f1: float
    support: int  # photos that are of this class
    predicted: int  # photos that were taken for it


@dataclass(frozen=True)
class ReliabilityBin:
    """Predictions whose probability lies in (lower, upper]; both means are None in an empty bin."""

    lower: float
    upper: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Evaluation:
    classes: tuple[str, ...]
    count: int
    accuracy: float
    accuracy_interval: tuple[float, float]  # 95 %, Wilson
    balanced_accuracy: float  # mean recall over the classes that have photos
    macro_f1: float  # mean over the same classes
    top5_accuracy: float | None  # None with five classes or fewer
    nll: float  # mean negative log-likelihood, nats
    ece: float  # expected calibration error
    per_class: tuple[ClassMetrics, ...]  # by label
    confusion: tuple[tuple[int, ...], ...]  # [true label][predicted label] photos
    reliability: tuple[ReliabilityBin, ...]

    def summary(self) -> dict[str, float]:
        """The numbers that stand for the model: in the artifact, in the plan review."""
        names = ("accuracy", "balanced_accuracy", "macro_f1", "top5_accuracy", "nll", "ece")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and strings, none of them NaN or infinite."""
        return asdict(self)


def softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """Probabilities [N, C] of logits [N, C]."""
    scores = np.asarray(logits, dtype=np.float64)
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(scores / scores.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class PrecisionCost:
    """What it costs to have computed features in less than f32: test photos through the same head as in training, and
    as the model is served."""

    precision: str  # of the features that the head was trained on
    accuracy: float | None = None  # on test features in that precision; None where that is f32
    accuracy_served: float | None = None  # in the precision that serves

    @property
    def words(self) -> str | None:
        """None where features are f32."""
        if self.accuracy is None or self.accuracy_served is None:
            return None
        return (
            f"{self.precision}: {self.accuracy:.1%} right with them, "
            f"{self.accuracy_served:.1%} as the model is served"
        )


def evaluate(logits: ArrayLike, labels: ArrayLike, classes: Sequence[str]) -> Evaluation:
    """Measures logits [N, C] against the true labels [N]."""
    # Here: it takes more than a second to import, and most of what imports this module measures nothing.
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    scores = np.asarray(logits, dtype=np.float64)
    truth = np.asarray(labels)
    _validate(scores, truth, classes)
    probabilities = softmax(scores)
    predicted = probabilities.argmax(axis=1)
    hits = predicted == truth
    numbers = np.arange(len(classes))
    confusion = confusion_matrix(truth, predicted, labels=numbers)
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=numbers, zero_division=0
    )
    present = support > 0
    bins = reliability_bins(probabilities.max(axis=1), hits)
    return Evaluation(
        classes=tuple(classes),
        count=len(truth),
        accuracy=float(hits.mean()),
        accuracy_interval=wilson_interval(int(hits.sum()), len(truth)),
        balanced_accuracy=float(recall[present].mean()),
        macro_f1=float(f1[present].mean()),
        top5_accuracy=_top_accuracy(scores, truth, 5) if len(classes) > 5 else None,
        nll=_negative_log_likelihood(scores, truth),
        ece=_expected_calibration_error(bins),
        per_class=tuple(
            ClassMetrics(
                name,
                float(precision[i]),
                float(recall[i]),
                float(f1[i]),
                int(support[i]),
                int(confusion[:, i].sum()),
            )
            for i, name in enumerate(classes)
        ),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        reliability=bins,
    )


def reliability_bins(
    confidence: NDArray[np.float64], hits: NDArray[np.bool_], count: int = CALIBRATION_BINS
) -> tuple[ReliabilityBin, ...]:
    """Splits predictions into `count` bins of equal width by their probability.

    Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017, section 2.
    """
    edges = np.linspace(0.0, 1.0, count + 1)
    which = np.clip(np.ceil(confidence * count).astype(int) - 1, 0, count - 1)
    bins = []
    for i in range(count):
        inside = which == i
        found = int(inside.sum())
        bins.append(
            ReliabilityBin(
                lower=float(edges[i]),
                upper=float(edges[i + 1]),
                count=found,
                confidence=float(confidence[inside].mean()) if found else None,
                accuracy=float(hits[inside].mean()) if found else None,
            )
        )
    return tuple(bins)


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a proportion; Wilson 1927, which holds at few photos and near 0 and 1, too."""
    share = hits / count
    scale = 1 + _Z95**2 / count
    middle = (share + _Z95**2 / (2 * count)) / scale
    half = _Z95 / scale * math.sqrt(share * (1 - share) / count + _Z95**2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def _expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    total = sum(each.count for each in bins)
    return sum(
        each.count / total * abs(each.accuracy - each.confidence)
        for each in bins
        if each.accuracy is not None and each.confidence is not None
    )


def _negative_log_likelihood(scores: NDArray[np.float64], truth: NDArray[Any]) -> float:
    # From the scores, not from log(softmax): that is infinite where the probability underflows to 0.
    top = scores.max(axis=1)
    normalizer = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    return float((normalizer - scores[np.arange(len(truth)), truth]).mean())


def _top_accuracy(scores: NDArray[np.float64], truth: NDArray[Any], k: int) -> float:
    top = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float((top == truth[:, None]).any(axis=1).mean())


def _validate(scores: NDArray[np.float64], truth: NDArray[Any], classes: Sequence[str]) -> None:
    if len(classes) < 2:
        raise KennelError("An evaluation needs at least two classes", len(classes))
    if scores.ndim != 2 or scores.shape[1] != len(classes):
        raise KennelError(
            f"Scores must have the shape [photos, {len(classes)}], one column a class", scores.shape
        )
    if truth.shape != scores.shape[:1]:
        raise KennelError(f"There must be one label a row of scores, {len(scores)} in all", truth.shape)
    if len(truth) == 0:
        raise KennelError(
            "An evaluation needs at least one photo", 0, "Check that the test split is not empty."
        )
    if not np.issubdtype(truth.dtype, np.integer):
        raise KennelError("Labels must be whole numbers", truth.dtype)
    if truth.min() < 0 or truth.max() >= len(classes):
        raise KennelError(f"Labels must lie in 0 … {len(classes) - 1}", f"{truth.min()} … {truth.max()}")
    if not np.isfinite(scores).all():
        rows = int((~np.isfinite(scores)).any(axis=1).sum())
        raise KennelError(
            "Scores must be finite",
            f"NaN or infinity in {rows} of {len(scores)} rows",
            "Training has probably diverged: try a lower learning rate.",
        )
