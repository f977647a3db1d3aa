"""Invoke a SageMaker endpoint: a kept connection, signed requests, retries inside the function's deadline."""

from __future__ import annotations

import functools
import http.client
import json
import os
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import sigv4
from guarded_fetch import tls_context
from lambda_errors import (
    CallerError,
    EndpointError,
    EndpointRefusedError,
    EndpointTimeoutError,
    EndpointUnavailableError,
    MalformedPredictionError,
    ModelFailedError,
    NoCopyError,
    SettingsError,
)

BACKOFF = (0.1, 2.0)  # seconds: first and longest upper bound of the random wait
# An instance or a server process that is lost is replaced within seconds; inference changes nothing, so that a
# request may be sent again until then.
LOSS_SECONDS = 20.0
# One that is busy is not to get more work from being asked again: few attempts, and in the long run one retry for
# ten answers.
BUSY_ATTEMPTS = 4
RETRY_BUDGET = 10.0
RETRY_INCOME = 0.1
CONNECT_SECONDS = 3.0
# A sandbox is frozen between calls for any length of time, and a connection that died meanwhile may swallow a
# request without a sign; a new one costs some milliseconds.
IDLE_SECONDS = 20.0
MAX_ANSWER_BYTES = 8 * 1024 * 1024
THROTTLED = 429  # of SageMaker
RETRIED_STATUSES = frozenset({THROTTLED, 500, 502, 503, 504, 530})  # of SageMaker: no instance ready, its own
RETRIED_MODEL_STATUSES = frozenset(
    {429, 502, 503, 504}
)  # of the container: busy. Its 500 would only come again.
NO_ANSWER = 0  # of the container: the connection broke, or its minute was over
TIMED_OUT = "timed out"  # in SageMaker's words for the latter
NO_COPY = "no capacity to process this request"  # in SageMaker's words, of an inference component


class Prediction(NamedTuple):
    body: bytes
    attempts: int
    variant: str | None = None  # of the endpoint


class _Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def field(self, name: str) -> object:
        """A field of the JSON error that SageMaker sends; None if there is no such thing."""
        return _json_object(self.body).get(name)

    @property
    def error_type(self) -> str:
        kind = self.headers.get("x-amzn-errortype") or self.field("__type") or "an error"
        return str(kind).partition(":")[0].rpartition("#")[2]


class EndpointClient:
    """Not thread-safe: a sandbox serves one call at a time."""

    def __init__(
        self,
        url: str,
        region: str,
        *,
        component: str | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        self._host = parts.netloc
        self._scope = sigv4.Scope(region, "sagemaker")
        self._connect: Callable[[], http.client.HTTPConnection]
        if parts.scheme == "https":
            self._connect = functools.partial(
                http.client.HTTPSConnection, parts.netloc, timeout=CONNECT_SECONDS, context=tls_context()
            )
        else:
            self._connect = functools.partial(
                http.client.HTTPConnection, parts.netloc, timeout=CONNECT_SECONDS
            )
        self._component = {"X-Amzn-SageMaker-Inference-Component": component} if component else {}
        self._clock = clock
        self._sleep = sleep
        self._connection: http.client.HTTPConnection | None = None
        self._last_used = 0.0
        self._budget = RETRY_BUDGET

    def invoke(self, name: str, body: bytes, *, content_type: str, accept: str, seconds: float) -> Prediction:
        """The model's answer. `seconds` is for everything, waiting included.

        Raises CallerError where the model refuses the image, and an EndpointError for all else.
        """
        began = self._clock()
        end = began + seconds
        headers = {"Host": self._host, "Content-Type": content_type, "Accept": accept, **self._component}
        attempt = busy = 0
        while True:
            attempt += 1
            try:
                answer = self._send(f"/endpoints/{name}/invocations", headers, body, end)
                if answer.status == 200:
                    self._budget = min(self._budget + RETRY_INCOME, RETRY_BUDGET)
                    return Prediction(
                        answer.body, attempt, answer.headers.get("x-amzn-invoked-production-variant")
                    )
                failure = _failure(name, answer)
            except TimeoutError:
                self.close()
                raise EndpointTimeoutError(
                    f"Endpoint {name} did not answer before the function's time was up."
                ) from None
            except (http.client.HTTPException, OSError) as error:
                self.close()
                failure = EndpointUnavailableError(
                    f"Endpoint {name} cannot be reached: {type(error).__name__}."
                )
            if not isinstance(failure, EndpointUnavailableError):
                raise failure
            first, longest = BACKOFF
            bound = min(longest, first * 2 ** min(attempt - 1, 8))
            now = self._clock()
            if failure.busy:
                busy += 1
                if busy == BUSY_ATTEMPTS or self._budget < 1:
                    raise failure
                self._budget -= 1
                pause = random.uniform(0, bound)  # noqa: S311 - spreads load, guards nothing
            else:
                if now - began >= LOSS_SECONDS:
                    raise failure
                pause = random.uniform(bound / 2, bound)  # noqa: S311 - likewise
            if now + pause >= end:
                raise failure
            self._sleep(pause)

    def _send(self, path: str, headers: dict[str, str], body: bytes, end: float) -> _Answer:
        signed = sigv4.signed_headers(
            "POST",
            path,
            headers,
            body,
            credentials=_credentials(),
            scope=self._scope,
            now=datetime.now(UTC),
        )
        signed["User-Agent"] = "kennel-lambda/1"
        while True:
            connection, reused = self._open(end)
            try:
                connection.request("POST", path, body, signed)
                response = connection.getresponse()
                break
            except ConnectionError:
                # The host had closed the kept connection, as it may at any time; that says nothing about it.
                self.close()
                if not reused:
                    raise
        with response:
            declared = response.length or 0
            content = response.read(MAX_ANSWER_BYTES + 1)
        if response.will_close or len(content) > MAX_ANSWER_BYTES:
            self.close()
        if len(content) > MAX_ANSWER_BYTES:
            raise MalformedPredictionError(f"The endpoint's answer has more than {MAX_ANSWER_BYTES} bytes.")
        if len(content) < declared:  # http.client does not mind
            raise http.client.IncompleteRead(content, declared - len(content))
        self._last_used = self._clock()
        return _Answer(response.status, response.headers, content)

    def _open(self, end: float) -> tuple[http.client.HTTPConnection, bool]:
        """The connection, its reads limited to the time that is left, and whether it was used before."""
        if self._clock() - self._last_used > IDLE_SECONDS:
            self.close()
        connection, reused = self._connection, self._connection is not None
        if connection is None:
            connection = self._connect()
            connection.timeout = min(CONNECT_SECONDS, self._left(end))
            try:
                connection.connect()
            except TimeoutError:
                raise ConnectionError(
                    "no connection in time"
                ) from None  # worth another try, unlike a late answer
            self._connection = connection
        connection.sock.settimeout(self._left(end))
        return connection, reused

    def _left(self, end: float) -> float:
        left = end - self._clock()
        if left <= 0:
            raise TimeoutError
        return left

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _credentials() -> sigv4.Credentials:
    """Read at every call, and never kept."""
    try:
        return sigv4.Credentials(
            os.environ["AWS_ACCESS_KEY_ID"],
            os.environ["AWS_SECRET_ACCESS_KEY"],
            os.environ.get("AWS_SESSION_TOKEN") or None,
        )
    except KeyError as error:
        raise SettingsError(f"{error.args[0]} is not set; Lambda sets it from the function's role.") from None


def _failure(name: str, answer: _Answer) -> CallerError | EndpointError:
    """What an answer other than 200 means. SageMaker wraps the container's own error into a 424 ModelError.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html#API_runtime_InvokeEndpoint_Errors
    """
    original = answer.field("OriginalStatusCode")
    if answer.status == 424 and isinstance(original, int):
        if original in RETRIED_MODEL_STATUSES:
            return EndpointUnavailableError(
                f"The model of endpoint {name} is busy (status {original}).", busy=True
            )
        if original == NO_ANSWER and TIMED_OUT not in str(answer.field("OriginalMessage")):
            return EndpointUnavailableError(f"The model of endpoint {name} broke the connection off.")
        if 400 <= original < 500:
            return _model_refusal(original, answer.field("OriginalMessage"))
        return ModelFailedError(f"The model of endpoint {name} failed with status {original}.")
    if answer.status in RETRIED_STATUSES:
        return EndpointUnavailableError(
            f"Endpoint {name} is not available: {answer.error_type} (status {answer.status}).",
            busy=answer.status == THROTTLED and answer.error_type != "ModelNotReadyException",
        )
    if NO_COPY in str(answer.field("Message") or answer.field("message")):
        # Not waited for: instances take minutes to come, and a waiting function costs money.
        return NoCopyError(
            f"Endpoint {name} has scaled to zero. This request makes it start a copy of its model, which takes some "
            "minutes; send it again then."
        )
    return EndpointRefusedError(
        f"SageMaker refused the request to endpoint {name}: {answer.error_type} (status {answer.status})."
    )


def _model_refusal(status: int, original: object) -> CallerError:
    """In the container's own words if they have the form of the contract, and in none of its others."""
    error = _json_object(original).get("error")
    if (
        isinstance(error, dict)
        and isinstance(error.get("type"), str)
        and isinstance(error.get("message"), str)
    ):
        return CallerError(error["type"], error["message"], status)
    return CallerError("image_refused", "The model refused the image.", status)


def _json_object(text: object) -> dict[str, Any]:
    if not isinstance(text, str | bytes):
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
