"""The forms of events, and the answers in the same form.

    {"endpoint_name": …, "request_dict": "<JSON, escaped once or twice>"}  → [56]
    {"url" | "image": …, "endpoint_name"?: …, "top_k"?: …}                 → {"label": 56, "name": …, …}
    a function URL's event with either as JSON, or with an image's bytes   → {"statusCode", "headers", "body"}

Whatever is wrong with an event is a CallerError, and its message never repeats the event.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from dataclasses import dataclass
from typing import Any

from guarded_fetch import TYPE_ALIASES, sniff
from lambda_errors import CallerError, KennelLambdaError, MalformedPredictionError

MAX_TOP_K = 1000
DEFAULT_TOP_K = 5
BODY_TYPES = ("image/jpeg", "image/png", "image/webp", "application/x-image")
_INSIDE_OF_STRING = re.compile(r'\s*\{\s*\\"')
RICH_KEYS = frozenset({"url", "image", "endpoint_name", "top_k"})


@dataclass(frozen=True)
class Image:
    data: bytes
    content_type: str


@dataclass(frozen=True)
class Ask:
    source: Image | str  # a string is a URL
    endpoint_name: str | None
    top_k: int | None  # None: the replaced workflow's form, which wants bare label numbers

    @property
    def accept(self) -> str:
        return "application/json" if self.top_k is None else f"application/json;verbose=1;top={self.top_k}"

    def answer(self, body: bytes) -> object:
        """The answer that the caller expects, from the endpoint's."""
        try:
            prediction = json.loads(body)
            return _labels(prediction) if self.top_k is None else _named(prediction)
        # OverflowError: of a whole number that no float can hold.
        except (ValueError, KeyError, TypeError, IndexError, RecursionError, OverflowError):
            wanted = "scores in two dimensions" if self.top_k is None else "predictions with names"
            raise MalformedPredictionError(f"The endpoint's answer does not hold {wanted}.") from None


def is_http(event: object) -> bool:
    return isinstance(event, dict) and "requestContext" in event


def parse(event: object, max_bytes: int) -> Ask:
    if not isinstance(event, dict):
        raise CallerError("invalid_event", "The event must be a JSON object.")
    if is_http(event):
        return _http(event, max_bytes)
    return _direct(event, max_bytes)


def succeed(event: object, answer: object) -> object:
    return _http_answer(200, answer) if is_http(event) else answer


def fail(event: object, error: KennelLambdaError) -> dict[str, Any]:
    content = {"error": {"type": error.kind, "message": error.message}}
    if is_http(event):
        return _http_answer(error.status, content)
    return {"statusCode": error.status, **content}


def _http_answer(status: int, content: object) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(content, ensure_ascii=False),
    }


def _direct(event: dict[str, Any], max_bytes: int) -> Ask:
    if "request_dict" in event:
        # Other keys are let pass: the replaced handler did not look at them, and its callers must not notice.
        request = _unescape(event["request_dict"])
        return Ask(_source(request, max_bytes), _endpoint_name(event), top_k=None)
    unknown = event.keys() - RICH_KEYS
    if unknown:
        raise CallerError(
            "invalid_event",
            f"The event may hold {', '.join(sorted(RICH_KEYS))}, or endpoint_name and request_dict; "
            f"{len(unknown)} of its keys are none of these.",
        )
    return Ask(_source(event, max_bytes), _endpoint_name(event), _top_k(event.get("top_k", DEFAULT_TOP_K)))


def _unescape(request: object) -> dict[str, Any]:
    """request_dict as an object. Twice escaped is JSON of a JSON string, or the inside of such a string
    ({\\"url\\": …}), which is what comes of pasting an escaped string where it is escaped once more."""
    for _ in range(2):
        if isinstance(request, str):
            request = _json(f'"{request}"' if _INSIDE_OF_STRING.match(request) else request)
    if not isinstance(request, dict):
        raise CallerError("invalid_event", 'request_dict must be JSON like {"url": "https://…"}.')
    return request


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise CallerError("invalid_json", "The text is not valid JSON.") from None


def _source(request: dict[str, Any], max_bytes: int) -> Image | str:
    given = [name for name in ("url", "image") if name in request]
    if len(given) != 1:
        raise CallerError("invalid_event", "Give one of url and image (base64).")
    value = request[given[0]]
    if not isinstance(value, str) or not value:
        raise CallerError("invalid_event", f"{given[0]} must be a string that is not empty.")
    if given == ["url"]:
        return value
    data = _decode(value, max_bytes)
    return Image(data, sniff(data) or "application/x-image")


def _decode(text: str, max_bytes: int) -> bytes:
    if len(text) > max_bytes * 4 // 3 + 4:
        raise _too_large(max_bytes)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise CallerError("invalid_base64", "The image is not valid base64.") from None
    if len(data) > max_bytes:
        raise _too_large(max_bytes)
    return data


def _too_large(max_bytes: int) -> CallerError:
    return CallerError("too_large", f"The image has more than {max_bytes} bytes.", 413)


def _endpoint_name(event: dict[str, Any]) -> str | None:
    name = event.get("endpoint_name")
    if "endpoint_name" in event and not isinstance(name, str):
        raise CallerError("invalid_event", "endpoint_name must be a string.")
    return name


def _top_k(value: object) -> int:
    if type(value) is not int or not 1 <= value <= MAX_TOP_K:
        raise CallerError("invalid_event", f"top_k must be a whole number from 1 to {MAX_TOP_K}.")
    return value


def _http(event: dict[str, Any], max_bytes: int) -> Ask:
    """https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads, version 2.0"""
    try:
        method = event["requestContext"]["http"]["method"]
        headers = {name.lower(): value for name, value in event.get("headers", {}).items()}
        query = event.get("queryStringParameters") or {}
        body = event.get("body") or ""
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        content_type = TYPE_ALIASES.get(content_type, content_type)
        encoded = event.get("isBase64Encoded", False)
        if not isinstance(body, str) or not isinstance(query, dict):
            raise TypeError  # noqa: TRY301 - answered like any other deviation
    except (KeyError, TypeError, AttributeError):
        raise CallerError("invalid_event", "The event is not a function URL's, version 2.0.") from None
    if method != "POST":
        raise CallerError("method_not_allowed", "Use POST.", 405)
    if content_type == "application/json":
        text = _decode(body, _json_limit(max_bytes)).decode(errors="replace") if encoded else body
        request = _json(text)
        if not isinstance(request, dict):
            raise CallerError("invalid_event", "The body must be a JSON object.")
        return _direct(request, max_bytes)
    if content_type not in BODY_TYPES:
        raise CallerError(
            "unsupported_type",
            f"The content type must be application/json or {' or '.join(BODY_TYPES)}.",
            415,
        )
    data = _decode(body, max_bytes) if encoded else b""
    if not data:
        raise CallerError("invalid_event", "The body holds no image.")
    top_k = str(query.get("top_k", DEFAULT_TOP_K))
    number = int(top_k) if re.fullmatch(r"[0-9]{1,4}", top_k) else None
    return Ask(Image(data, content_type), _endpoint_name(query), _top_k(number))


def _json_limit(max_bytes: int) -> int:
    return max_bytes * 4 // 3 + 16 * 1024  # the image in base64, and the rest of the object


def _labels(prediction: object) -> list[int]:
    """The arg-max of each row; of equal scores the first, as numpy and torch do."""
    if not isinstance(prediction, list) or not prediction:
        raise ValueError
    labels = []
    for row in prediction:
        if not isinstance(row, list) or not all(math.isfinite(score) for score in row):
            raise ValueError
        labels.append(max(range(len(row)), key=row.__getitem__))
    return labels


def _named(prediction: Any) -> dict[str, Any]:
    first = prediction["predictions"][0]
    return {key: first[key] for key in ("label", "name", "probability", "top")}
