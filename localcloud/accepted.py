"""What the embedded cloud takes, keeps and describes, and does not carry out."""

from __future__ import annotations

import logging
import threading
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import WSGIEnvironment

log = logging.getLogger(__name__)

_NO_NOTEBOOK = "The notebook instance changes its state; no machine, lifecycle script or Jupyter runs."
_WITHOUT_EXECUTION = {
    "PutMetricAlarm with actions": (
        "Scaling policies are carried out; nothing is published to topics, and no other action is taken."
    ),
    "RegisterScalableTarget of other services": "Only variants of endpoints and copies of inference components scale.",
    "RunInstances": (
        "The machine runs commands as processes here; no system boots, and user data never runs: "
        "/opt/kennel is there from the beginning."
    ),
    "CreateNotebookInstance": _NO_NOTEBOOK,
    "StartNotebookInstance": _NO_NOTEBOOK,
    "CreateModel with EnableNetworkIsolation": (
        "The container gets no AWS credentials, but its process has this machine's network."
    ),
    "CreateModel with VpcConfig": "The container's process has this machine's network, not that of the VPC.",
    "CreateTrainingJob with EnableNetworkIsolation": (
        "The container gets no AWS credentials, but its processes have this machine's network."
    ),
    "CreateTrainingJob with FastFile": "The files are there before the container starts; nothing is streamed.",
    "CreateTrainingJob with VpcConfig": "The container's processes have this machine's network, not the VPC's.",
    "CreateTrainingJob with EnableInterContainerTrafficEncryption": (
        "What the instances say to each other is not encrypted; it does not leave this machine."
    ),
    "CreateTrainingJob with RetryStrategy": "Nothing here fails with InternalServerError, so nothing is retried.",
    "CreateTrainingJob with OutputDataConfig.KmsKeyId": "Artifacts are not encrypted with the key.",
    "CreateTrainingJob with ResourceConfig.VolumeKmsKeyId": "Volumes are folders, and not encrypted.",
    "CreateTrainingJob with EnableSageMakerMetricsTimeSeries": (
        "Metrics go to CloudWatch; there is no other store of their values in time."
    ),
    "CreateTransformJob with TransformOutput.KmsKeyId": "Answers are not encrypted with the key.",
    "CreateTransformJob with TransformResources.VolumeKmsKeyId": "Volumes are folders, and not encrypted.",
    "PutRetentionPolicy": "Log events do not go by their age.",
    "PutBucketLifecycleConfiguration": "Objects neither expire nor move to another storage class.",
    "CreateFlowLogs": "No packets are seen: each record says that an interface had no data (NODATA).",
    "Subscribe": "No mail and no text message leaves this machine.",
}

_warned: set[str] = set()
_lock = threading.Lock()


def accepted_only() -> dict[str, str]:
    """By operation: what is not carried out."""
    return dict(_WITHOUT_EXECUTION)


def warn(operation: str) -> None:
    """Say in the log, once an operation, that it is not carried out; nothing for those that are."""
    said = _WITHOUT_EXECUTION.get(operation)
    if said is None:
        return
    with _lock:
        if operation in _warned:
            return
        _warned.add(operation)
    log.warning("%s is accepted and not carried out: %s", operation, said)


def warn_of(environ: WSGIEnvironment) -> None:
    warn(_operation(environ))


def _operation(environ: WSGIEnvironment) -> str:
    """The operation's name in each of AWS's protocols; "" where a path decides."""
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:  # JSON
        return str(target).rsplit(".", 1)[-1]
    path, query = environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
    if "/operation/" in path:  # RPC v2 CBOR
        return str(path).rsplit("/", 1)[-1]
    if environ["REQUEST_METHOD"] == "PUT" and "lifecycle" in parse_qs(query, keep_blank_values=True):  # S3
        return "PutBucketLifecycleConfiguration"
    if path == "/" and environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        body: Any = environ["wsgi.input"]  # query; in memory, see http_server
        form: bytes = body.read()
        body.seek(0)
        return parse_qs(form.decode(errors="replace")).get("Action", [""])[0]
    return ""
