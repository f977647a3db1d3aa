"""Data capture: requests and answers of an endpoint as objects in S3, in the name of the model's role."""

from __future__ import annotations

import base64
import io
import json
import logging
import queue
import random
import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from localcloud.sagemaker.jobs.storage import Location, StorageError

log = logging.getLogger(__name__)

_WAITING = 1000  # records; AWS drops what it cannot keep up with, too
_queue: queue.Queue[tuple[Location, bytes]] = queue.Queue(_WAITING)
_writer: list[threading.Thread] = []


@dataclass(frozen=True)
class Capture:
    """Of one variant. `folder` is where its objects go."""

    folder: Location
    percent: int
    modes: frozenset[str]  # Input, Output
    json_types: frozenset[str]
    csv_types: frozenset[str]

    @classmethod
    def of(cls, config: dict[str, Any] | None, folder: Location) -> Capture | None:
        """From DataCaptureConfig. `folder`: the endpoint's and variant's, below its destination."""
        if not config or not config.get("EnableCapture"):
            return None
        types = config.get("CaptureContentTypeHeader") or {}
        return cls(
            folder,
            int(config["InitialSamplingPercentage"]),
            frozenset(option["CaptureMode"] for option in config["CaptureOptions"]),
            frozenset(types.get("JsonContentTypes") or ("application/json",)),
            frozenset(types.get("CsvContentTypes") or ("text/csv",)),
        )

    def record(self, request: tuple[str, bytes], answer: tuple[str, bytes]) -> None:
        """Content type and body of each. One object a request, written in the background."""
        if random.uniform(0, 100) >= self.percent:  # noqa: S311 - which requests are recorded is no secret
            return
        now, name = datetime.now(UTC), str(uuid.uuid4())
        data = {}
        if "Input" in self.modes:
            data["endpointInput"] = self._described("INPUT", *request)
        if "Output" in self.modes:
            data["endpointOutput"] = self._described("OUTPUT", *answer)
        line = {
            "captureData": data,
            "eventMetadata": {"eventId": name, "inferenceTime": f"{now:%Y-%m-%dT%H:%M:%SZ}"},
            "eventVersion": "0",
        }
        key = f"{now:%Y/%m/%d/%H/%M-%S}-{now.microsecond // 1000:03}-{name}.jsonl"
        if not _writer:
            _writer.append(threading.Thread(target=_write, name="data capture", daemon=True))
            _writer[0].start()
        try:
            _queue.put_nowait((self.folder.below(key), json.dumps(line).encode() + b"\n"))
        except queue.Full:
            log.warning("a record of a request to %s is dropped", self.folder)

    def _described(self, mode: str, kind: str, body: bytes) -> dict[str, str]:
        encoding, text = "BASE64", base64.b64encode(body).decode()
        if kind in self.json_types or kind in self.csv_types:
            encoding = "JSON" if kind in self.json_types else "CSV"
            text = body.decode(errors="replace")
        return {"observedContentType": kind, "mode": mode, "data": text, "encoding": encoding}


def _write() -> None:
    while True:
        location, record = _queue.get()
        try:
            location.store(io.BytesIO(record))
        except StorageError as error:
            log.warning("no record of a request at %s: %s", location, error)
        except Exception:
            log.exception("record of a request at %s", location)
