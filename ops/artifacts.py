"""The store of archives on this machine, by digest, and the file that tells Terraform which one to deploy."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.artifact import inspect
from ml.errors import KennelError
from ops import files
from ops.paths import ARTIFACTS, TERRAFORM, shown
from ops.stage import Stage

KEPT = 3  # earlier models, to go back to


@dataclass(frozen=True)
class Model:
    """A model as Terraform's variable `model` has it."""

    name: str
    sha256: str
    metrics: dict[str, float]

    def __str__(self) -> str:
        """Its name, and what it was measured at."""
        accuracy = self.metrics.get("accuracy")
        return self.name + (f", test accuracy {accuracy:.1%}" if accuracy is not None else "")

    @property
    def archive(self) -> Path:
        return ARTIFACTS / self.sha256 / "model.tar.gz"

    def to_variable(self) -> dict[str, Any]:
        """Return the variable; the path is relative to terraform/, so that it is the same on every machine."""
        archive = os.path.relpath(self.archive, TERRAFORM)
        return {"name": self.name, "archive": archive, "sha256": self.sha256, "metrics": self.metrics}

    def manifest(self) -> dict[str, Any] | None:
        """Return the archive's manifest, or None when the archive is not on this machine."""
        return inspect(self.archive) if self.archive.is_file() else None


def release(stage: Stage, archive: Path, sha256: str, metrics: dict[str, float]) -> Model:
    """Store the archive and name it as the stage's model; the next plan deploys it."""
    model = Model(f"model-{sha256[:12]}", sha256, metrics)
    if not model.archive.is_file():
        model.archive.parent.mkdir(parents=True, exist_ok=True)
        fresh = model.archive.with_suffix(f".{os.getpid()}")
        shutil.copyfile(archive, fresh)
        fresh.replace(model.archive)
    choose(stage, model)
    return model


def choose(stage: Stage, model: Model | None) -> None:
    """Make the model the stage's: the next plan deploys it and no other."""
    files.write_json(stage.model_file, {"model": model.to_variable() if model else None})


def chosen(stage: Stage) -> Model | None:
    """Return the model that the stage's file names, or None before the first training.

    Raises:
        KennelError: the file is not what `train` writes.
    """
    if not stage.model_file.is_file():
        return None
    try:
        variable = json.loads(stage.model_file.read_text())["model"]
        if variable is None:
            return None
        model = Model(variable["name"], variable["sha256"], dict(variable.get("metrics", {})))
    except (ValueError, KeyError, TypeError) as error:
        raise KennelError(
            'A model file is what `train` writes: {"model": {"name", "archive", "sha256", "metrics"}}.',
            f"{shown(stage.model_file)}: {error!r}",
            "Run ./inv train again, or remove the file to deploy no model.",
        ) from error
    if not re.fullmatch("[0-9a-f]{64}", model.sha256):
        raise KennelError(
            "A model's sha256 has 64 hexadecimal digits.", model.sha256, "Run ./inv train again."
        )
    return model


def wanted(stage: Stage, outputs: dict[str, Any]) -> Model | None:
    """Return the model that the next plan deploys: the stage's, or the deployed one where no file names any.

    A fresh checkout has no such file, and must not take the endpoint away. A file that says null does.
    """
    return chosen(stage) if stage.model_file.is_file() else deployed(outputs)


def deployed(outputs: dict[str, Any]) -> Model | None:
    """Return the model that the outputs of the last apply name; None before the first."""
    model = outputs.get("model")
    return _told(model) if model else None


def earlier(outputs: dict[str, Any]) -> list[Model]:
    """Return the models before it whose archives are in the bucket, the latest first."""
    return [_told(model) for model in (outputs.get("model") or {}).get("earlier") or []]


def retained(model: Model | None, outputs: dict[str, Any]) -> list[Model]:
    """Return the earlier models to keep beside the one to deploy: the one that it replaces first."""
    before = deployed(outputs)
    if model is None or before is None:
        return []
    known = [before, *earlier(outputs)]
    return [one for one in known if one.sha256 != model.sha256][:KEPT]


def refuse_unfit(model: Model, before: Model | None, *, stored: set[str], force: bool) -> None:
    """See that the model can be deployed, and is at least as good as the deployed one.

    Raises:
        KennelError: its archive is nowhere, or it is worse.
    """
    manifest = model.manifest()
    if manifest is None and model.sha256 not in stored:
        raise KennelError(
            "A model's archive is on this machine until it is uploaded.",
            f"{shown(model.archive)} is missing",
            "Train again with ./inv train, or copy the archive there.",
        )
    if force or manifest is None or before is None or before.sha256 == model.sha256:
        return
    served = before.manifest()
    if served is None:
        return
    same_test = manifest["data"]["test_digest"] == served["data"]["test_digest"]
    new, old = manifest["metrics"]["accuracy"], served["metrics"]["accuracy"]
    if same_test and new < old:
        raise KennelError(
            "A model goes out when it is at least as good as the deployed one on the same test photos.",
            f"accuracy {new:.4f}, deployed {old:.4f}",
            "Train a better one, or deploy it all the same with --force.",
        )


def _told(model: dict[str, Any]) -> Model:
    return Model(model["name"], model["sha256"], model.get("metrics") or {})
