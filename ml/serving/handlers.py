"""The four functions that SageMaker's containers call; the server of this package calls them too.

input_fn takes image bytes or JSON, {"image": base64} or {"url": "https://..."}; output_fn gives the scores as
a list of rows, which is what the clients of the workflow before this one expect, or names and probabilities.
"""

from __future__ import annotations

import base64
import functools
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, NoReturn

import numpy as np
from PIL import Image

from .engine import Engine, softmax
from .errors import RequestError
from .images import ImageError, decode, sniff
from .networks import Floats
from .preprocessing import Preprocessing
from .settings import Settings

IMAGE_TYPES: Final = {
    "image/jpeg": "JPEG",
    "image/jpg": "JPEG",  # not registered, and yet sent by many
    "image/png": "PNG",
    "image/webp": "WEBP",
}
ANY_IMAGE: Final = "application/x-image"
JSON: Final = "application/json"
FORMATS: Final = ("JPEG", "PNG", "WEBP")
CONTENT_TYPES: Final = ("image/jpeg", "image/png", "image/webp", ANY_IMAGE, JSON)
DEFAULT_TOP: Final = 5

_IMAGE_ERROR_STATUS: Final = {
    "unsupported_format": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "too_many_pixels": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "too_many_scans": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}

settings = functools.cache(Settings.from_environment)


@dataclass(frozen=True)
class Prediction:
    logits: Floats  # [N, C]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """The form of answer that an Accept header asks for."""

    verbose: bool = False
    top: int = DEFAULT_TOP
    errors: bool = False  # what is wrong with a request is an answer to it, too


_preprocessing: list[Preprocessing] = []  # of the model that was loaded last: input_fn is not given it


def model_fn(model_dir: str) -> Engine:
    engine = Engine.load(model_dir, settings().engine)
    _preprocessing[:] = [engine.preprocessing]
    return engine


def input_fn(request_body: bytes | bytearray | str, content_type: str | None) -> Image.Image:
    """Raises RequestError."""
    shorter = _preprocessing[0].decoded_side if _preprocessing else None
    return decode_image(*read_image(request_body, content_type), shorter)


def predict_fn(data: Image.Image, model: Engine) -> Prediction:
    return Prediction(model.classify([data]), model.classes)


def output_fn(prediction: Prediction, accept: str | None) -> str:
    """Raises RequestError where `accept` asks for something else than JSON."""
    answer = parse_accept(accept)
    if not np.isfinite(prediction.logits).all():
        raise ArithmeticError("the model gave scores that are not finite")
    if not answer.verbose:
        return json.dumps(prediction.logits.tolist(), allow_nan=False)
    rows = [_verbose(row, prediction.classes, answer.top) for row in softmax(prediction.logits)]
    return json.dumps({"predictions": rows}, allow_nan=False)


def read_image(body: bytes | bytearray | str, content_type: str | None) -> tuple[bytes, str | None]:
    """The bytes of the image, and the format that they are declared to have, if any."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind == JSON:
        return _image_from_json(body), None
    if kind not in IMAGE_TYPES and kind != ANY_IMAGE:
        raise RequestError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported_content_type",
            f"The Content-Type has to be one of {', '.join(CONTENT_TYPES)}.",
        )
    if isinstance(body, str):
        _refuse("not_bytes", "An image has to be sent as bytes, not as text.")
    return bytes(body), IMAGE_TYPES.get(kind)


def decode_image(data: bytes, declared: str | None, shorter: int | None = None) -> Image.Image:
    found = sniff(data)
    if declared in FORMATS and found in FORMATS and declared != found:
        raise RequestError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "content_type_mismatch",
            f"The Content-Type says {declared}, the bytes are {found}. Correct it, or send {ANY_IMAGE}.",
        )
    try:
        return decode(data, formats=FORMATS, shorter=shorter)
    except ImageError as error:
        status = _IMAGE_ERROR_STATUS.get(error.code, HTTPStatus.BAD_REQUEST)
        raise RequestError(status, error.code, error.message) from error


def told_as_answer(error: RequestError, accept: str | None) -> bool:
    """Whether who asks wants an answer to each request, and the fault lies in the request.

    Batch transform fails as a whole with the first object that gets none.
    """
    if error.status_code >= 500:
        return False
    try:
        return parse_accept(accept).errors
    except RequestError:
        return False


def parse_accept(accept: str | None) -> Answer:
    """The first part of an Accept header that can be served; raises RequestError (406) if there is none."""
    for part in (accept or JSON).split(","):
        kind, *parameters = (each.strip().lower() for each in part.split(";"))
        if kind in (JSON, "application/*", "*/*"):
            answer = _parse_accept_parameters(parameters)
            if answer is not None:
                return answer
    raise RequestError(
        HTTPStatus.NOT_ACCEPTABLE,
        "not_acceptable",
        f"Accept has to be {JSON}, or {JSON};verbose=1 with ;top=K (1 or more) and ;errors=1 if wished.",
    )


def _parse_accept_parameters(parameters: list[str]) -> Answer | None:
    values = dict(parameter.split("=", 1) for parameter in parameters if "=" in parameter)
    if len(values) != len(parameters) or not values.keys() <= {"verbose", "top", "errors", "q", "charset"}:
        return None
    verbose, top, errors = values.get("verbose", "0"), values.get("top"), values.get("errors", "0")
    if errors not in ("0", "1") or verbose not in ("0", "1") or values.get("charset", "utf-8") != "utf-8":
        return None
    if values.get("q", "1").rstrip("0.") == "":
        return None
    if top is None:
        return Answer(verbose == "1", errors=errors == "1")
    if verbose == "0" or not (top.isascii() and top.isdigit() and 1 <= len(top) <= 6 and int(top)):
        return None
    return Answer(True, int(top), errors == "1")


def _verbose(probabilities: Floats, classes: tuple[str, ...], top: int) -> dict[str, Any]:
    order = np.argsort(-probabilities, kind="stable")[:top]
    ranked = [
        {"label": int(label), "name": classes[label], "probability": float(probabilities[label])}
        for label in order
    ]
    return {**ranked[0], "top": ranked}


def _image_from_json(body: bytes | bytearray | str) -> bytes:
    request = _parse_json(body)
    if not isinstance(request, dict) or len(request) != 1 or not request.keys() <= {"image", "url"}:
        _refuse("invalid_request", 'The JSON has to be {"image": "<base64>"} or {"url": "https://..."}.')
    ((key, value),) = request.items()
    if not isinstance(value, str):
        _refuse("invalid_request", f"The value of {key} has to be a string.")
    if key == "url":
        return _fetch(value)
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:  # binascii.Error, and characters beyond ASCII
        _refuse("invalid_base64", "The value of image has to be base64: no line breaks, no data: prefix.")


def _parse_json(body: bytes | bytearray | str) -> object:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key is given twice")
        return dict(pairs)

    try:
        text = body if isinstance(body, str) else body.decode("utf-8")
        return json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        _refuse(
            "invalid_json", "The body has to be JSON in UTF-8, without a key twice and not deeply nested."
        )


def _fetch(url: str) -> bytes:
    if not settings().fetch_urls:
        raise RequestError(
            HTTPStatus.FORBIDDEN,
            "urls_not_allowed",
            "This endpoint fetches no URLs: send the image itself, or deploy with KENNEL_FETCH_URLS=true.",
        )
    # Lies next to this package in an archive; where the package is used without it, no URL is fetched.
    from guarded_fetch import FetchError, FetchPolicy, fetch

    policy = FetchPolicy(
        allow_http=settings().fetch_allow_http,
        allow_loopback=settings().fetch_allow_loopback,
        max_bytes=settings().max_body_bytes,
    )
    try:
        return fetch(url, policy).data
    except FetchError as error:
        raise RequestError(HTTPStatus(error.status), error.code, error.message) from error


def _refuse(code: str, message: str) -> NoReturn:
    raise RequestError(HTTPStatus.BAD_REQUEST, code, message) from None
