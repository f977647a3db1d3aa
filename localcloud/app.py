"""The WSGI application: moto's dispatcher with our services in it, and errors that AWS SDKs understand."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask
from moto.backends import SERVICE_NAMES
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from localcloud import accepted, clock, gaps, heartbeat
from localcloud.authorization.middleware import INSECURE, with_authorization
from localcloud.config import Config
from localcloud.faults.middleware import with_faults
from localcloud.functions import with_function_urls
from localcloud.quotas import with_quotas
from localcloud.sagemaker.jobs.interruption import with_interruptions
from localcloud.sagemaker.runtime import with_invocations
from localcloud.strangers import refuse_strangers
from localcloud.wire import error_response, operation, signing_service

log = logging.getLogger(__name__)


def create_app(config: Config) -> WSGIApplication:
    clock.set_speed(config.scaling_speed)
    gaps.install(config)
    heartbeat.start()
    dispatcher = DomainDispatcherApplication(_backend_app)

    def aws(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer: list[Any] = []

        def hold(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            answer[:] = status, headers

        if environ.get("PATH_INFO", "").startswith("/_localcloud/"):  # nobody has judged it
            return _not_implemented(environ, start_response, "")
        accepted.warn_of(environ)
        body: Iterable[bytes] = dispatcher(environ, hold)
        status, headers = answer
        # moto answers 404 with no AWS error in it where no URL or operation of its matches.
        if status.startswith("404") and _is_foreign(headers):
            return _not_implemented(environ, start_response, "")
        start_response(status, headers)
        return body

    services = with_quotas(with_invocations(with_interruptions(with_function_urls(aws))))
    return refuse_strangers(_guard(with_authorization(with_faults(services))))


def without_tls(app: WSGIApplication) -> WSGIApplication:
    """`app` as it is asked at port 80: aws:SecureTransport is false."""

    def asked(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ[INSECURE] = True
        return app(environ, start_response)

    return asked


def _guard(app: WSGIApplication) -> WSGIApplication:
    """`app` starts its response last, so that an error can still be answered."""

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return app(environ, start_response)
        except NotImplementedError as error:
            return _not_implemented(environ, start_response, str(error))
        except Exception:
            log.exception("%s %s failed", signing_service(environ), operation(environ))
            message = f"The embedded cloud failed at {operation(environ)}; its log has the traceback."
            # Not 500, which Terraform's provider tries 25 times: what fails here fails every time.
            return error_response(environ, start_response, 501, "InternalFailure", message)

    return guarded


def _backend_app(service: SERVICE_NAMES | None) -> Flask:
    if service is None:
        raise NotImplementedError("moto has no such service")
    if str(service) == "moto_api":  # resets everything for anybody who asks
        raise NotImplementedError("moto's own API is switched off")
    return create_backend_app(service)


def _is_foreign(headers: list[tuple[str, str]]) -> bool:
    values = {name.lower(): value for name, value in headers}
    return values.get("content-type", "").startswith("text/html") and "x-amzn-requestid" not in values


def _not_implemented(environ: WSGIEnvironment, start_response: StartResponse, detail: str) -> Iterable[bytes]:
    name = f"{signing_service(environ) or 'unsigned request'}: {operation(environ)}"
    message = f"The embedded cloud does not implement {name}." + (f" ({detail})" if detail else "")
    # 501: SDKs retry other 5xx codes, which would keep their users waiting for nothing.
    return error_response(environ, start_response, 501, "NotImplemented", message)
