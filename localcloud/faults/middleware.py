"""Deals faults out to requests, and takes their rules: routes of the embedded cloud's own, since AWS's API has none.

GET /_localcloud/faults tells the rules and what they have dealt out, POST adds a list of rules, DELETE forgets all.
"""

from __future__ import annotations

import json
import logging
import re
import select
import socket
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from localcloud import operations
from localcloud.errors import CloudError
from localcloud.faults.eventual import Eventual
from localcloud.faults.rules import Faults, Rule, parsed
from localcloud.faults.words import Refusal, refusal
from localcloud.http_server import HANG_UP
from localcloud.operations import Call
from localcloud.sagemaker import capacity
from localcloud.wire import error_response

log = logging.getLogger(__name__)

PATH = "/_localcloud/faults"
_UPLOADS = {"PutObject", "UploadPart", "CompleteMultipartUpload"}
_POLL = 0.1  # s
_ROOT = re.compile(r"AWS4\S* +Credential=local(-\d{12})?/")


def with_faults(app: WSGIApplication) -> WSGIApplication:
    """`app`, with faults dealt out before, in place of and behind its answers."""
    faults, eventual = Faults(), Eventual()

    def routed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == PATH:
            return _control(environ, start_response, faults, eventual)
        if not faults.active:
            return app(environ, start_response)
        call = operations.of(environ)
        if call is None:
            return app(environ, start_response)
        late = eventual.refusal(call) if eventual.active else None
        if late is not None:
            faults.note(call, "iam-delay")
            return _refuse(environ, start_response, late)
        rule = faults.deal(call)
        if rule is None:
            return app(environ, start_response)
        log.info("fault %s at %s %s %s", rule.kind, call.service, call.operation, call.path)
        return _deal(app, environ, start_response, rule, call, eventual)

    return routed


def _deal(
    app: WSGIApplication,
    environ: WSGIEnvironment,
    start_response: StartResponse,
    rule: Rule,
    call: Call,
    eventual: Eventual,
) -> Iterable[bytes]:
    words = refusal(rule, call)
    if words is not None:
        return _refuse(environ, start_response, words)
    if rule.kind == "timeout":
        _wait(environ, rule.duration)
        return _hang_up(environ, start_response)
    if rule.kind == "cut":
        if call.service == "s3" and call.operation in _UPLOADS:
            return _hang_up(environ, start_response)  # nothing is stored
        environ[HANG_UP] = 0.5
        return app(environ, start_response)
    if rule.kind == "capacity":
        with capacity.withheld():
            return app(environ, start_response)
    return _delayed(app, environ, start_response, rule, call, eventual)


def _delayed(
    app: WSGIApplication,
    environ: WSGIEnvironment,
    start_response: StartResponse,
    rule: Rule,
    call: Call,
    eventual: Eventual,
) -> Iterable[bytes]:
    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        if status.startswith("2"):
            eventual.delay(call, rule.duration)
        return start_response(status, headers, *more)

    return app(environ, start)


def _refuse(environ: WSGIEnvironment, start_response: StartResponse, words: Refusal) -> Iterable[bytes]:
    return error_response(environ, start_response, words.status, words.code, words.message)


def _hang_up(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    environ[HANG_UP] = 0
    start_response("500 Internal Server Error", [])  # which nobody gets to see
    return []


def _wait(environ: WSGIEnvironment, seconds: float) -> None:
    """Until the client gives up, or for so long."""
    connection = environ.get("werkzeug.socket")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(_POLL)
        if isinstance(connection, socket.socket) and select.select([connection], [], [], 0)[0]:
            return  # it has closed the connection: it sends nothing before its answer


def _control(
    environ: WSGIEnvironment, start_response: StartResponse, faults: Faults, eventual: Eventual
) -> Iterable[bytes]:
    if _ROOT.match(environ.get("HTTP_AUTHORIZATION", "")) is None:
        message = "Faults are the root's, who signs with the key local."
        return error_response(environ, start_response, 403, "AccessDenied", message)
    method = environ["REQUEST_METHOD"]
    if method == "POST":
        try:
            added = faults.add(_rules(environ["wsgi.input"].read()))
        except CloudError as error:
            told = {"rule": error.rule, "received": error.received, "remedy": error.remedy}
            return _answer(start_response, HTTPStatus.BAD_REQUEST, told)
        return _answer(start_response, HTTPStatus.OK, {"added": added})
    told = faults.describe()
    if method == "DELETE":
        faults.clear()
        eventual.clear()
    return _answer(start_response, HTTPStatus.OK, told)


def _rules(body: bytes) -> list[Rule]:
    document = parsed(body.decode(errors="replace"))
    return [Rule.read(entry) for entry in (document if isinstance(document, list) else [document])]


def _answer(start_response: StartResponse, status: HTTPStatus, document: object) -> Iterable[bytes]:
    body = json.dumps(document, default=str).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", headers)
    return [body]
