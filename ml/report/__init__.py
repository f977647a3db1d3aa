"""One HTML file that shows how a training run went: no external asset, the same bytes for the same run."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from ml.evaluate import ClassMetrics, Evaluation
from ml.report import page
from ml.report.charts import Series, confusion_chart, line_chart, reliability_chart
from ml.serving.images import ImageError, decode

SHOWN_MISTAKES = 24
SHOWN_CONFUSIONS = 15
THUMBNAIL = 320  # pixels, the longer side


@dataclass(frozen=True)
class Mistake:
    image: bytes | Path  # the photo as it lies on disk
    actual: int  # label
    predicted: int  # label
    probability: float  # of the predicted label


@dataclass(frozen=True)
class ReportInput:
    """All that a report shows. History rows hold `epoch` (from 1) and any of `train_loss`, `valid_loss`,
    `train_accuracy`, `valid_accuracy` (0 … 1); a missing or None value leaves a gap in its curve.
    """

    title: str
    classes: Sequence[str]
    evaluation: Evaluation
    history: Sequence[Mapping[str, float | None]] = ()
    mistakes: Sequence[Mistake] = ()  # the most confident SHOWN_MISTAKES are shown
    counts: Mapping[str, int] = field(default_factory=dict)  # photos a split
    config: Mapping[str, Any] = field(default_factory=dict)  # nested mappings are shown as dotted names
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    engine: Mapping[str, Any] | None = None  # as in the manifest: what serves, and what else was measured
    decode_margin: float | None = None


def write_report(path: Path, *, run: ReportInput) -> None:
    """Writes the report to `path`, whole or not at all."""
    page.write(path, render(run))


def render(run: ReportInput) -> str:
    evaluation = run.evaluation
    mistakes = sorted(run.mistakes, key=lambda each: -each.probability)[:SHOWN_MISTAKES]
    return page.render(
        "report.html.j2",
        run=run,
        evaluation=evaluation,
        right=sum(evaluation.confusion[i][i] for i in range(len(run.classes))),
        loss=_curves(run, "loss"),
        accuracy=_curves(run, "accuracy"),
        reliability=reliability_chart(
            evaluation.reliability,
            title=f"Reliability diagram: expected calibration error {evaluation.ece:.1%}",
        ),
        confusion=confusion_chart(
            evaluation,
            title=f"Confusion matrix of {len(run.classes)} classes; the pairs most confused are listed below",
        ),
        confusions=_confusions(evaluation),
        worst_first=sorted(evaluation.per_class, key=_badness),
        mistakes=[(each, _thumbnail(each.image)) for each in mistakes],
        config=list(page.flatten(run.config)),
        fastest=max((each["photos_per_core_second"] or 0.0 for each in _candidates(run)), default=0.0),
    )


def _curves(run: ReportInput, measure: str) -> Markup | None:
    series = [
        Series(
            name,
            style,
            [(float(row["epoch"] or 0), _finite(row.get(f"{key}_{measure}"))) for row in run.history],
        )
        for key, name, style in (("train", "training", "train"), ("valid", "validation", "valid"))
    ]
    title = f"{measure.capitalize()} on training and validation photos by epoch"
    return line_chart(series, title=title, percent=measure == "accuracy")


def _candidates(run: ReportInput) -> Sequence[Mapping[str, Any]]:
    return run.engine["candidates"] if run.engine else ()


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _badness(each: ClassMetrics) -> tuple[bool, float, float, str]:
    return (each.support == 0, each.recall, each.f1, each.name)


def _confusions(evaluation: Evaluation) -> list[tuple[str, str, int, int]]:
    """(true class, predicted class, photos, photos of the true class), the most frequent first."""
    names = evaluation.classes
    pairs = [
        (names[row], names[column], photos, sum(counts))
        for row, counts in enumerate(evaluation.confusion)
        for column, photos in enumerate(counts)
        if photos and row != column
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], -pair[2] / pair[3], pair[0], pair[1]))[:SHOWN_CONFUSIONS]


def _thumbnail(source: bytes | Path) -> str | None:
    """A data: address; None where the photo is not there any more, or not readable."""
    try:
        image = decode(source if isinstance(source, bytes) else source.read_bytes())
    except (OSError, ImageError):
        return None
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
