"""The WSGI application: moto's dispatcher with our services in it, and errors that AWS SDKs understand."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from localcloud import gaps
from localcloud.config import Config
from localcloud.wire import error_response, operation, signing_service

log = logging.getLogger(__name__)

WSGI = Callable[[dict[str, Any], Any], Iterable[bytes]]


def create_app(config: Config) -> WSGI:
    gaps.install(config)
    dispatcher = DomainDispatcherApplication(create_backend_app)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answer: list[Any] = []

        def hold(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            answer[:] = [status, headers, exc_info]

        try:
            body = dispatcher(environ, hold)
        except NotImplementedError as error:
            return _not_implemented(environ, start_response, str(error))
        except Exception:
            log.exception("%s %s failed", signing_service(environ), operation(environ))
            message = f"The embedded cloud failed at {operation(environ)}; its log has the traceback."
            return error_response(environ, start_response, 500, "InternalFailure", message)
        status, headers, exc_info = answer
        # moto answers 404 with no AWS error in it where no URL or operation of its matches.
        if status.startswith("404") and _is_foreign(headers):
            return _not_implemented(environ, start_response, "")
        start_response(status, headers, exc_info)
        return body

    return app


def _is_foreign(headers: list[tuple[str, str]]) -> bool:
    values = {name.lower(): value for name, value in headers}
    return values.get("content-type", "").startswith("text/html") and "x-amzn-requestid" not in values


def _not_implemented(environ: dict[str, Any], start_response: Any, detail: str) -> Iterable[bytes]:
    name = f"{signing_service(environ) or 'unsigned request'}: {operation(environ)}"
    message = f"The embedded cloud does not implement {name}." + (f" ({detail})" if detail else "")
    # 501: SDKs retry other 5xx codes, which would keep their users waiting for nothing.
    return error_response(environ, start_response, 501, "NotImplemented", message)
