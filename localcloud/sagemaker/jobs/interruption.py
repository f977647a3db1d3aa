"""Spot interruptions on demand: a route of the embedded cloud's own, since AWS's API has none.

POST /_localcloud/spot-interruption {"TrainingJobName": ..., "WaitInSeconds": 0}: the job's instances are reclaimed,
and there are new ones after so many seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from moto.core.exceptions import ServiceException
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import sagemaker_backends

from localcloud.sagemaker.jobs.backend import JobsBackend
from localcloud.sagemaker.jobs.training import TrainingJob

PATH = "/_localcloud/spot-interruption"


def with_interruptions(app: WSGIApplication) -> WSGIApplication:
    """`app`, with the route answered before it sees the request."""

    def routed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH or environ["REQUEST_METHOD"] != "POST":
            return app(environ, start_response)
        try:
            name, wait = _parse(environ["wsgi.input"].read())
            _job(name).interrupt(wait)
        except ServiceException as error:
            return _answer(start_response, HTTPStatus.BAD_REQUEST, {"message": error.message})
        return _answer(start_response, HTTPStatus.OK, {"TrainingJobName": name})

    return routed


def _parse(body: bytes) -> tuple[str, float]:
    try:
        document = json.loads(body)
        name, wait = document.pop("TrainingJobName"), document.pop("WaitInSeconds", 0)
        if not document and isinstance(name, str) and float(wait) >= 0:
            return name, float(wait)
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise ValidationError(
        'The body must be {"TrainingJobName": name, "WaitInSeconds": number, 0 by default}.'
    )


def _job(name: str) -> TrainingJob:
    for backend in _backends():
        if name in backend.jobs:
            return backend.jobs[name]
    raise ValidationError(f"There is no training job {name}.")


def _backends() -> Iterator[JobsBackend]:
    for regions in list(sagemaker_backends.values()):
        for backend in list(regions.values()):
            if isinstance(backend, JobsBackend):
                yield backend


def _answer(start_response: StartResponse, status: HTTPStatus, document: dict[str, Any]) -> Iterable[bytes]:
    body = json.dumps(document).encode()
    start_response(
        f"{status.value} {status.phrase}",
        [("Content-Type", "application/json"), ("Content-Length", str(len(body)))],
    )
    return [body]
