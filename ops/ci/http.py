"""Calls of a forge's HTTP API: patient with limits and failures, and silent about the token."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ml.errors import KennelError

ATTEMPTS = 5
LONGEST_WAIT = 60.0  # seconds; a limit that lasts longer is told
TIMEOUT = 30
PAGE = 100
REPEATABLE = {"GET", "PUT", "PATCH", "DELETE"}


class ApiError(KennelError):
    """The API refused a call, or did not answer; `status` is None where there was no answer."""

    def __init__(self, status: int | None, call: str, text: str, remedy: str) -> None:
        self.status = status
        answer = f"{status}" if status is not None else "no answer"
        super().__init__(f"The forge's API answers {call}.", f"{answer}: {text}", remedy)

    @property
    def is_unsettled(self) -> bool:
        """Whether the call may have been carried out all the same."""
        return self.status is None or self.status >= 500


class _StayHere(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing: the token would go along to wherever it leads."""


class Api:
    """An API below one address, with the headers that every call has."""

    def __init__(
        self, address: str, headers: Mapping[str, str], *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        parts = urllib.parse.urlsplit(address)
        if parts.scheme != "https" and parts.hostname not in {"127.0.0.1", "localhost"}:
            raise KennelError("A token goes over https only.", address, "Correct the API's address.")
        self.address = address.rstrip("/")
        self.headers = {"Accept": "application/json", "User-Agent": "kennel", **headers}
        self.sleep = sleep
        self._opener = urllib.request.build_opener(_StayHere)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the answer's JSON, None where it has none.

        What was limited is sent again; what failed, or was not answered, only where twice does no harm.

        Raises:
            ApiError: it stays refused or unanswered.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._once(method, path, body)
            except urllib.error.HTTPError as error:
                with error:
                    text = _message(error)
                wait = _limited(error)
                failed = error.code >= 500 and method in REPEATABLE
                if attempt == ATTEMPTS or not (failed or wait is not None) or (wait or 0) > LONGEST_WAIT:
                    remedy = _remedy(error.code) if wait is None else _later(wait)
                    raise ApiError(error.code, f"{method} {path}", text, remedy) from None
                self.sleep(wait if wait is not None else 2.0 ** (attempt - 1))
            except (
                OSError,
                http.client.HTTPException,
                ValueError,
            ) as error:  # ValueError: a proxy's page, not JSON
                if attempt == ATTEMPTS or method not in REPEATABLE:
                    raise ApiError(None, f"{method} {path}", type(error).__name__, _remedy(None)) from None
                self.sleep(2.0 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")

    def pages(self, path: str) -> Iterator[Any]:
        """Yield the entries of a list, all its pages."""
        joint = "&" if "?" in path else "?"
        number = 1
        while True:
            entries = self.call("GET", f"{path}{joint}per_page={PAGE}&page={number}")
            yield from entries
            if len(entries) < PAGE:
                return
            number += 1

    def _once(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        headers = self.headers | ({"Content-Type": "application/json"} if content else {})
        request = urllib.request.Request(  # noqa: S310 - https, or this machine: see __init__
            f"{self.address}{path}", data=content, headers=headers, method=method
        )
        with self._opener.open(request, timeout=TIMEOUT) as answer:
            text = answer.read()
        return json.loads(text) if text else None


def _limited(error: urllib.error.HTTPError) -> float | None:
    """Return the seconds to wait for a limit to pass; None where none was met."""
    after = error.headers.get("Retry-After", "")
    if error.code == 429 or (error.code in {403, 503} and after.isdecimal()):
        return float(after) if after.isdecimal() else 5.0
    if error.code == 403 and error.headers.get("X-RateLimit-Remaining") == "0":
        reset = error.headers.get("X-RateLimit-Reset", "")
        return max(0.0, float(reset) - time.time()) if reset.isdecimal() else 5.0
    return None


def _message(error: urllib.error.HTTPError) -> str:
    try:
        said = json.loads(error.read())
        return str(said.get("message") or said.get("error") or error.reason)[:300]
    except (ValueError, AttributeError, OSError, http.client.HTTPException):
        return str(error.reason)


def _later(wait: float) -> str:
    return f"The limit of calls is reached: run the job again in {max(1, round(wait / 60))} min."


def _remedy(status: int | None) -> str:
    if status in {401, 403, 404}:
        return "See that the job has the permissions, or the token, that docs/ci.md names; then run the job again."
    return "Run the job again in some minutes."
