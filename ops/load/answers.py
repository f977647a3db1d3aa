"""What is wrong with an answer of SageMaker or Lambda, in a few words; nothing of its content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

THROTTLED = "throttled: "  # what kinds of refusals for want of capacity begin with
_BUSY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


def fault(service: str, status: int, headers: Mapping[str, str], body: bytes) -> str:
    """Empty for a good answer. `headers` are looked up by lower-case name."""
    if status == HTTPStatus.OK:
        return _function_fault(headers, body) if service == "lambda" else ""
    code = headers.get("x-amzn-errortype", "").partition(":")[0]
    said = _json(body)
    if status == HTTPStatus.FAILED_DEPENDENCY:  # the container's own answer was an error
        original = said.get("OriginalStatusCode")
        kind = f"{code or 'ModelError'} (the model server: {original or 'no answer'})"
        return THROTTLED + kind if original in _BUSY else kind
    code = code or str(said.get("__type") or "HTTP")
    kind = f"{code} ({status})"
    return THROTTLED + kind if status in _BUSY or "Throttl" in code else kind


def _function_fault(headers: Mapping[str, str], body: bytes) -> str:
    said = _json(body)
    if "x-amz-function-error" in headers:
        return f"function: {said.get('errorType') or headers['x-amz-function-error']}"
    error = said.get("error")
    if isinstance(error, dict):
        return f"function: {error.get('type') or 'error'}"
    return ""


def _json(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
