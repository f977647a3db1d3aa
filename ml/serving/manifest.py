"""manifest.json: what the rest of a model directory is, as far as serving needs to know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .errors import ModelError
from .preprocessing import Preprocessing

FORMAT: Final = 2
PRECISIONS: Final = ("f32", "bf16", "int8")
_REMEDY: Final = "Train the model again with this version of the project."


@dataclass(frozen=True)
class Golden:
    """An image whose answer is known; a model that answers otherwise is not the one that was packed."""

    file: str
    label: int
    probability: float
    tolerance: float  # of the probability, with any engine on any processor


@dataclass(frozen=True)
class Manifest:
    classes: tuple[str, ...]  # the label number is the index
    network: Mapping[str, Any]
    preprocessing: Preprocessing
    precision: str
    tolerance: float  # of logits, relative to the largest, between this precision and f32
    golden: Golden

    @classmethod
    def load(cls, model_dir: Path) -> Manifest:
        """Raises ModelError."""
        path = model_dir / "manifest.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ModelError(
                "A model directory holds manifest.json.",
                model_dir,
                "Unpack a model.tar.gz of this project there.",
            ) from None
        except ValueError as error:
            raise ModelError("manifest.json is JSON.", error, _REMEDY) from None
        found = values.get("format") if isinstance(values, dict) else None
        if found != FORMAT:
            raise ModelError(f"manifest.json has format {FORMAT}.", f"format {found!r}", _REMEDY)
        try:
            return cls._from_dict(values)
        except KeyError as error:
            raise ModelError("manifest.json is complete.", f"no key {error}", _REMEDY) from None
        except (TypeError, ValueError, AttributeError) as error:
            raise ModelError("manifest.json has values of the right kind.", error, _REMEDY) from None

    @classmethod
    def _from_dict(cls, values: Mapping[str, Any]) -> Manifest:
        classes = values["classes"]
        if not (
            isinstance(classes, list) and len(classes) > 1 and all(isinstance(each, str) for each in classes)
        ):
            raise ValueError("classes is not a list of two or more names")
        if values["network"]["num_classes"] != len(classes):
            raise ValueError(
                f"network.num_classes is {values['network']['num_classes']}, classes {len(classes)}"
            )
        precision = values["engine"]["precision"]
        if precision not in PRECISIONS:
            raise ValueError(f"engine.precision is {precision!r}, not one of {', '.join(PRECISIONS)}")
        golden = Golden(**values["golden"])
        if Path(golden.file).name != golden.file:
            raise ValueError(f"golden.file is {golden.file!r}, not a plain file name")
        return cls(
            classes=tuple(classes),
            network=values["network"],
            preprocessing=Preprocessing.from_dict(values["preprocessing"]),
            precision=precision,
            tolerance=float(values["engine"]["tolerance"]),
            golden=golden,
        )
