"""What goes wrong in serving: with the model, for whoever deploys it, or with a request, for the client."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    _ToolkitError = Exception
else:
    # AWS's own containers answer 500 to every exception but those of this class.
    try:
        from sagemaker_inference.errors import BaseInferenceToolkitError as _ToolkitError
    except ImportError:
        _ToolkitError = Exception


class ModelError(Exception):
    """The model cannot be served."""

    def __init__(self, rule: str, received: object, remedy: str) -> None:
        super().__init__(f"{rule}\nReceived: {received}\nRemedy: {remedy}")


class RequestError(_ToolkitError):
    """The request cannot be answered. `code` is for programs, `message` for people; neither holds payload."""

    def __init__(self, status: HTTPStatus, code: str, message: str, *, retry_seconds: int = 1) -> None:
        Exception.__init__(self, message)
        self.status_code = int(status)
        self.phrase = status.phrase
        self.code = code
        self.message = message
        self.retry_seconds = retry_seconds  # where a later try may succeed

    def to_dict(self) -> dict[str, dict[str, str]]:
        return {"error": {"type": self.code, "message": self.message}}
