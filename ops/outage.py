"""Tells a cloud that refuses from one that has a bad moment, and what to do about either."""

from __future__ import annotations

import re

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

from ml.errors import KennelError

AGAIN = "Nothing is lost: run the same command again in a minute or two; it goes on from here."
_REFUSALS = ("AccessDenied", "UnauthorizedOperation", "Forbidden", "StatusCode: 403")
_LIMITS = re.compile(r"(?<!Request)LimitExceeded|ServiceQuotaExceeded")  # too many requests pass
_CAPACITY = (
    "InsufficientInstanceCapacity",
    "Unable to provision requested ML compute capacity",
    "CapacityError",
)
_PASSING = (
    "Throttling", "ThrottlingException", "SlowDown", "RequestLimitExceeded", "TooManyRequests", "Rate exceeded",
    "InternalFailure", "InternalError", "ServiceFailure", "ServiceException", "ServiceUnavailable", "StatusCode: 5",
    "exceeded maximum number of attempts", "connection reset", "unexpected EOF", ": EOF",
)  # fmt: skip


def remedy_in(text: str) -> str | None:
    """What helps against what somebody else's error says, where that can be told from it."""
    if any(word in text for word in _CAPACITY):
        return "Try again later, or take another instance type: AWS has none of this one left here for now."
    if _LIMITS.search(text):
        return "Raise the quota that it names (Service Quotas), or ask for less; then run the same command again."
    if any(word in text for word in _REFUSALS):
        return "Allow what it names, or use other credentials; then run the same command again: it goes on from here."
    if any(word in text for word in _PASSING):
        return f"The cloud has a bad moment. {AGAIN}"
    return None


def is_passing(error: Exception) -> bool:
    """Whether the cloud throttles, fails or is out of reach, whoever asks."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or status == 429 or error.response["Error"]["Code"] in _PASSING
    return isinstance(error, (HTTPClientError, ConnectionError))


def told(error: Exception) -> KennelError:
    """An error of boto3's as one of ours."""
    if is_passing(error):
        return KennelError("The cloud answers when it is asked.", error, f"It has a bad moment. {AGAIN}")
    if isinstance(error, BotoCoreError) and "redential" in str(error):
        remedy = "Sign in (aws sso login, or AWS_PROFILE); ./inv doctor tells what is missing."
        return KennelError("A cloud is asked with credentials.", error, remedy)
    rule = "The cloud does what a task asks it to."
    return KennelError(
        rule,
        error,
        remedy_in(str(error)) or "./inv doctor tells what is missing; then run the same command again.",
    )
