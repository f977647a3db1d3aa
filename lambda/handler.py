"""The Lambda function: an event in, the label of its photo out.

The function fetches the photo itself, so that the endpoint needs no way to the internet.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

import events
from endpoint_client import EndpointClient
from guarded_fetch import FetchError, fetch
from lambda_errors import CallerError, EndpointTimeoutError, KennelLambdaError, SettingsError
from lambda_settings import Settings

MARGIN_SECONDS = 0.5  # kept back for the answer and the log, before Lambda ends the sandbox
ENDPOINT_SECONDS = 1.0  # kept back for the endpoint while fetching
SECONDS_WITHOUT_CONTEXT = 30.0

log = logging.getLogger("kennel")


class Context(Protocol):
    """What is used of Lambda's context object."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        # Lambda filters by level where a line has a timestamp and a level by these names.
        head = {"timestamp": when, "level": record.levelname, "message": record.getMessage()}
        return json.dumps({**head, **getattr(record, "fields", {})})


@functools.cache
def _settings() -> Settings:
    settings = Settings.from_environment(os.environ)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonLines())
    log.handlers = [handler]
    log.propagate = False  # Lambda's root handler would print each line once more
    log.setLevel(settings.log_level)
    return settings


@functools.cache
def _client() -> EndpointClient:
    settings = _settings()
    return EndpointClient(settings.runtime_url, settings.region, component=settings.component)


# Lambda starts a sandbox with more CPU than the function has later, so what can be made now is made now.
# Wrong settings are told by each call.
with contextlib.suppress(SettingsError):
    _client()

_cold_start = True


def lambda_handler(event: object, context: Context | None) -> object:
    global _cold_start
    fields: dict[str, Any] = {
        "request_id": context.aws_request_id if context is not None else None,
        "cold_start": _cold_start,
    }
    _cold_start = False
    seconds = (
        context.get_remaining_time_in_millis() / 1000 if context is not None else SECONDS_WITHOUT_CONTEXT
    )
    end = time.monotonic() + seconds - MARGIN_SECONDS
    try:
        with _timed(fields, "total_ms"):
            answer = _predict(event, end, fields)
    except CallerError as error:
        log.warning("refused", extra={"fields": {**fields, "status": error.status, "error": error.kind}})
        return events.fail(event, error)
    except KennelLambdaError as error:
        log.error("failed", extra={"fields": {**fields, "status": error.status, "error": error.kind}})  # noqa: TRY400
        if events.is_http(event):
            return events.fail(event, error)  # a raised one would reach the client as a bare 502
        raise
    log.info("predicted", extra={"fields": {**fields, "status": 200}})
    return events.succeed(event, answer)


def _predict(event: object, end: float, fields: dict[str, Any]) -> object:
    settings = _settings()
    ask = events.parse(event, settings.fetch.max_bytes)
    endpoint = _endpoint(ask.endpoint_name, settings)
    fields["endpoint"] = endpoint
    fields["source"] = "url" if isinstance(ask.source, str) else "image"
    if isinstance(ask.source, str):
        with _timed(fields, "fetch_ms"):
            image = _fetch(ask.source, settings, end)
    else:
        image = ask.source
    fields["bytes"] = len(image.data)
    with _timed(fields, "endpoint_ms"):
        prediction = _client().invoke(
            endpoint,
            image.data,
            content_type=image.content_type,
            accept=ask.accept,
            seconds=end - time.monotonic(),
        )
    fields["attempts"] = prediction.attempts
    fields["variant"] = prediction.variant
    return ask.answer(prediction.body)


def _endpoint(name: str | None, settings: Settings) -> str:
    if name is None:
        if settings.default_endpoint is None:
            raise CallerError("invalid_event", "endpoint_name is missing, and there is no default endpoint.")
        return settings.default_endpoint
    name = settings.aliases.get(name, name)
    if name not in settings.allowed_endpoints:
        raise CallerError("forbidden_endpoint", "endpoint_name is not one of the allowed endpoints.", 403)
    return name


def _fetch(url: str, settings: Settings, end: float) -> events.Image:
    left = end - time.monotonic() - ENDPOINT_SECONDS
    if left <= 0:
        raise EndpointTimeoutError("The function's timeout leaves no time to fetch the image; raise it.")
    policy = replace(settings.fetch, total_seconds=min(settings.fetch.total_seconds, left))
    try:
        return events.Image(*fetch(url, policy))
    except FetchError as error:
        raise CallerError(error.code, error.message, error.status) from None


@contextlib.contextmanager
def _timed(fields: dict[str, Any], name: str) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        fields[name] = round((time.perf_counter() - started) * 1000, 2)
