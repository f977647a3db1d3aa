"""The replaced handler under TorchServe."""

from __future__ import annotations

from typing import Any

import replaced_handler as handler

_model: Any = None


def handle(data: list[dict[str, Any]] | None, context: Any) -> list[str] | None:
    """What TorchServe calls: first with nothing, to load."""
    global _model
    if _model is None:
        _model = handler.model_fn(context.system_properties["model_dir"])
    if data is None:
        return None
    photos = (handler.input_fn(bytes(each.get("body") or each.get("data") or b"")) for each in data)
    return [handler.output_fn(handler.predict_fn(photo, _model)) for photo in photos]
