from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ml.config import TrainConfig
from ml.search_space import SearchSpace
from ops.jobs import request, source, tuned
from ops.jobs.options import JobOptions


class SageMaker:
    """Lists the trials that it is given."""

    def __init__(self, trials: list[dict[str, Any]]) -> None:
        self.trials = trials

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        return [{"TrainingJobSummaries": self.trials}]


def test_the_best_settings_name_the_weights_that_the_trials_had(
    stage: Any, outputs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(b"weights")
    config = TrainConfig(backbone="torchvision/resnet50", weights=str(weights))
    space = SearchSpace.load("learning_rate,head")
    channels = {
        "code": "s3://there/code/",
        "data": "s3://there/dogs/",
        "weights": source.upload_weights(stage, outputs, str(weights)),
    }
    description = request.tuning_job(
        config, outputs, JobOptions(), channels, "kennel-dev-1",
        ranges=space.to_sagemaker(), trials=2, parallel=1, early_stopping=False,
    )  # fmt: skip
    trials = [
        {
            "TrainingJobName": f"kennel-dev-1-00{number}-a",
            "TrainingJobStatus": "Completed",
            "TunedHyperParameters": {"learning_rate": rate, "head": "linear"},
            "FinalHyperParameterTuningJobObjectiveMetric": {"Value": loss},
        }
        for number, (rate, loss) in enumerate((("0.001", 0.5), ("0.01", 0.25)), start=1)
    ]
    real = stage.client
    monkeypatch.setattr(
        stage, "client", lambda name: SageMaker(trials) if name == "sagemaker" else real(name)
    )
    monkeypatch.setattr(tuned, "WORK", tmp_path / "work")
    weights.unlink()  # on another machine
    found = tuned.collect(stage, description)
    assert found.best_loss == 0.25
    best = TrainConfig.from_dict(json.loads(found.config_file.read_text()))
    assert (best.learning_rate, best.data, best.backbone) == (0.01, "s3://there/dogs/", config.backbone)
    assert Path(best.weights).read_bytes() == b"weights"
