"""One JSON object a line on stdout, one line a request, and never a payload in it."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import traceback
import uuid
from http import HTTPStatus
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("kennel.serving")

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{record.msecs:03.0f}Z",
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["trace"] = _trace(record.exc_info[1])
        return json.dumps(line)


def configure() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def event(name: str, **fields: Any) -> None:
    logger.info(name, extra={"fields": fields})


class RequestLog:
    """Gives each request an id, logs its outcome, and answers 500 without details to what nobody caught."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        state = scope.setdefault("state", {})
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception:
            logger.exception("unexpected error", extra={"fields": {"request_id": request_id}})
            state["error"] = "internal"
            if status == 0:
                text = "The server failed; its log tells why, under the id in the x-request-id header."
                content = {"error": {"type": "internal", "message": text}}
                response = JSONResponse(content, HTTPStatus.INTERNAL_SERVER_ERROR)
                await response(scope, receive, send_with_id)
        finally:
            # SageMaker pings every few seconds.
            if scope["path"] != "/ping" or status != HTTPStatus.OK:
                event(
                    "request",
                    request_id=request_id,
                    method=scope["method"],
                    path=scope["path"][:256],
                    status=status,
                    error=state.get("error"),
                    body_bytes=state.get("body_bytes"),
                    milliseconds=round(1000 * (time.perf_counter() - started), 1),
                )


def _trace(error: BaseException | None) -> list[str]:
    """Without the exception's own text: a library may have put bytes of the request into it."""
    if error is None:
        return []
    return [*traceback.format_tb(error.__traceback__), type(error).__name__]
