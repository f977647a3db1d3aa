"""What can go wrong in a call, and who has to hear of it.

A caller's mistake is answered; Lambda would repeat an asynchronous event that raises. The endpoint's failure
is raised, so that it counts as an error of the function and an asynchronous event is tried again.
"""

from __future__ import annotations


class KennelLambdaError(Exception):
    """`kind` and `status` are what a caller over HTTP sees; the message goes to both."""

    kind = "error"
    status = 500

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class CallerError(KennelLambdaError):
    """The event, the image or the URL is wrong; sending it again would not help."""

    def __init__(self, kind: str, message: str, status: int = 400) -> None:
        self.kind = kind
        self.status = status
        super().__init__(message)


class SettingsError(KennelLambdaError):
    """The function's environment is wrong."""

    kind = "misconfigured"


class EndpointError(KennelLambdaError):
    """The endpoint gave no prediction, and the caller is not to blame."""

    kind = "endpoint_failed"
    status = 502


class EndpointUnavailableError(EndpointError):
    """No connection, throttled, or no instance ready; still so when the retries were used up."""

    kind = "endpoint_unavailable"
    status = 503

    def __init__(self, message: str, *, busy: bool = False) -> None:
        self.busy = busy  # it is there, and has too much to do
        super().__init__(message)


class NoCopyError(EndpointError):
    """The endpoint has scaled to zero. The request has been counted, and that brings a copy of the model."""

    kind = "endpoint_scaled_to_zero"
    status = 503


class EndpointTimeoutError(EndpointError):
    """No answer before the function's own time is up."""

    kind = "endpoint_timeout"
    status = 504


class EndpointRefusedError(EndpointError):
    """SageMaker refused the request itself: no such endpoint, no permission."""

    kind = "endpoint_refused"


class ModelFailedError(EndpointError):
    """The model's container answered with a server error."""

    kind = "model_failed"


class MalformedPredictionError(EndpointError):
    """The model's answer is not what the contract says."""

    kind = "malformed_prediction"
