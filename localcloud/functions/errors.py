"""Errors in Lambda's own words and form, raised towards the caller of the API."""

from __future__ import annotations

import json
from typing import Any

from moto.awslambda.exceptions import LambdaClientError


class ServiceError(LambdaClientError):
    """moto turns it into the HTTP answer."""

    def __init__(self, status: int, error: str, message: str, **fields: Any) -> None:
        super().__init__(error, message)
        self.code = status
        self.error_type = error
        self.description = json.dumps({"__type": error, "Type": "User", "message": message, **fields})


class Throttled(ServiceError):
    """429. `reason` is one of AWS's; a message of our own tells of a limit that AWS does not have."""

    def __init__(self, reason: str, message: str = "Rate Exceeded.") -> None:
        super().__init__(429, "TooManyRequestsException", message, Reason=reason)
        self.reason = reason


class InvalidParameterValue(ServiceError):
    def __init__(self, message: str) -> None:
        super().__init__(400, "InvalidParameterValueException", message)


class NotImplementedHere(ServiceError):
    """501: SDKs retry other 5xx codes, which would keep their users waiting for nothing."""

    def __init__(self, message: str) -> None:
        super().__init__(501, "NotImplemented", message)


class TooLarge(ServiceError):
    def __init__(self, size: int, kind: str, limit: int) -> None:
        message = f"{size} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
        super().__init__(413, "RequestTooLargeException", message)
