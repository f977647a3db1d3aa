"""The module that SageMaker's containers import: code/inference.py in model.tar.gz."""

from serving.handlers import (  # type: ignore[import-not-found]  # code/serving, next to it there
    input_fn,
    model_fn,
    output_fn,
    predict_fn,
)

__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]
