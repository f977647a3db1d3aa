"""The deployed model beside the one to deploy."""

from __future__ import annotations

from ops.artifacts import Model
from ops.review.facts import Metric, ModelPair


def compare(deployed: Model | None, model: Model | None) -> ModelPair | None:
    """Return the two side by side; None where the model stays."""
    if (deployed and deployed.sha256) == (model and model.sha256):
        return None
    before, after = (one.metrics if one else {} for one in (deployed, model))
    metrics = (
        Metric(name, _number(before, name), _number(after, name)) for name in sorted({*before, *after})
    )
    return ModelPair(deployed.name if deployed else None, model.name if model else None, tuple(metrics))


def _number(metrics: dict[str, float], name: str) -> str | None:
    return f"{metrics[name]:.4f}" if name in metrics else None
