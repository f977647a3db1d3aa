"""X-Ray segments of a function with active tracing, sent in the name of its role."""

from __future__ import annotations

import json
import random
import secrets
import time

from moto.xray.models import xray_backends

from localcloud.functions.deployment import Deployment

_SHARE = 0.05  # of the requests beyond the first of each second; AWS's


class Sampler:
    def __init__(self) -> None:
        self._second = 0

    def __call__(self) -> bool:
        now = int(time.time())
        first, self._second = now != self._second, now
        return first or random.random() < _SHARE  # noqa: S311 - which requests are traced is no secret


def trace_id() -> str:
    return f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"


def send(deployment: Deployment, trace: str, request_id: str, seconds: float, *, failed: bool) -> None:
    """Without the right there is no trace, and nothing else is lost."""
    actor = deployment.actor
    backend = xray_backends[deployment.account_id][deployment.region]
    now = time.time()
    segment = {
        "id": secrets.token_hex(8),
        "trace_id": trace,
        "name": deployment.name,
        "origin": "AWS::Lambda::Function",
        "resource_arn": deployment.arn,
        "start_time": now - seconds,
        "end_time": now,
        "aws": {"request_id": request_id},
        "fault": failed,
    }
    if actor.may("xray:PutTraceSegments"):
        backend.process_segment(json.dumps(segment))
    if actor.may("xray:PutTelemetryRecords"):
        record = {"Timestamp": now, "SegmentsReceivedCount": 1, "SegmentsSentCount": 1}
        backend.add_telemetry_records(
            {"TelemetryRecords": [record], "EC2InstanceId": "", "Hostname": "", "ResourceARN": ""}
        )
