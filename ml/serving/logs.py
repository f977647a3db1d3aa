"""One JSON object a line on stdout, one line a request, and never a payload in it."""

from __future__ import annotations

import functools
import json
import logging
import sys
import time
import traceback
from typing import Any

logger = logging.getLogger("kennel.serving")


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _timestamp(record.created),
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


def request(**fields: Any) -> None:
    """The line of a request: what `event` would write, without what logging costs."""
    line = {
        "time": _timestamp(time.time()),
        "level": "INFO",
        "logger": logger.name,
        "event": "request",
        **fields,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _timestamp(seconds: float) -> str:
    return f"{_second(int(seconds))}.{int(seconds % 1 * 1000):03}Z"


@functools.lru_cache(1)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _trace(error: BaseException | None) -> list[str]:
    """Without the exception's own text: a library may have put bytes of the request into it."""
    if error is None:
        return []
    return [*traceback.format_tb(error.__traceback__), type(error).__name__]
