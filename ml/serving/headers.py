"""What a caller says of a request besides its content: an id, and how long an answer is of use.

SageMaker hands on only X-Amzn-SageMaker-Inference-Id and X-Amzn-SageMaker-Custom-Attributes; the attributes may
hold request-id=… and deadline=… (seconds), separated by commas or semicolons.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from .errors import RequestError

ATTRIBUTES: Final = b"x-amzn-sagemaker-custom-attributes"
INFERENCE_ID: Final = b"x-amzn-sagemaker-inference-id"
REQUEST_ID: Final = b"x-request-id"

_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_SECONDS: Final = re.compile(rb"[0-9]{1,5}(\.[0-9]{1,6})?")


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """The caller's, where it spoils no log line; else a new one."""
    for given in (headers.get(REQUEST_ID), _attribute(headers, b"request-id"), headers.get(INFERENCE_ID)):
        if given is not None and _ID.fullmatch(given):
            return given.decode()
    return os.urandom(16).hex()


def deadline(headers: Mapping[bytes, bytes], longest: float) -> float:
    """Seconds from now; raises RequestError."""
    given = _attribute(headers, b"deadline")
    if given is None:
        return longest
    if not _SECONDS.fullmatch(given):
        raise RequestError(
            HTTPStatus.BAD_REQUEST,
            "invalid_deadline",
            f"The attribute deadline in {ATTRIBUTES.decode()} has to be a number of seconds, such as 2.5.",
        )
    return min(float(given), longest)


def _attribute(headers: Mapping[bytes, bytes], name: bytes) -> bytes | None:
    given = headers.get(ATTRIBUTES)
    for part in re.split(rb"[,;]", given) if given else ():
        key, _, value = part.partition(b"=")
        if key.strip().lower() == name:
            return value.strip()
    return None
