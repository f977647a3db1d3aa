"""Transform jobs: the request that starts one, and how one is followed. The model that is deployed answers."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from ops.jobs.follow import Say, View, is_missing, watch
from ops.jobs.logs import Line, Logs
from ops.jobs.options import MAX_JOB_NAME, OptionError
from ops.jobs.request import Request
from ops.jobs.source import sizes, split_uri
from ops.stage import Stage

LOG_GROUP = "/aws/sagemaker/TransformJobs"
MAX_PHOTO_MB = 25  # SageMaker has 100 MB under way to an instance at most: four of these
_LEAST_PAYLOAD_MB = 6  # what the model server takes where it is told nothing
# A photo that cannot be read is answered with what is wrong with it: SageMaker calls a job failed for the first object
# without an answer.
_ACCEPT = "application/json;verbose=1;top=1;errors=1"
_TIMEOUT, _RETRIES = 60, 3  # s and number, of a request
_DATA_LOG = re.compile(r"[^ ]*\[sagemaker logs\]: (?P<object>\S.*?): (?P<text>.+)")


@dataclass(frozen=True)
class TransformOptions:
    instance_type: str = "ml.m5.large"
    instances: int = 1

    def check(self, client: Any) -> None:
        """Raise OptionError for what SageMaker would not take."""
        known = client.meta.service_model.shape_for("TransformInstanceType").enum
        if self.instance_type not in known:
            family = self.instance_type.rpartition(".")[0] + "."
            near = [one for one in known if one.startswith(family)] or ["ml.m5.large", "ml.c5.xlarge"]
            raise OptionError(
                "Batch transform runs on some instance types.", self.instance_type, f"Take {', '.join(near)}."
            )
        if not 1 <= self.instances <= 100:
            raise OptionError("instances is a whole number from 1 to 100.", self.instances, "Correct it.")


@dataclass(frozen=True)
class Places:
    """Where a job finds and leaves what; all s3:// addresses."""

    manifest: str
    order: str
    answers: str
    results: str

    @classmethod
    def of(cls, outputs: Mapping[str, Any], name: str, output: str | None) -> Places:
        own = f"{outputs['artifact_locations']['scratch']}bulk/{name}/"
        theirs = f"{output.rstrip('/')}/{name}/" if output else own
        return cls(f"{own}manifest.json", f"{own}order.json", f"{theirs}answers/", f"{theirs}results.jsonl")

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Places:
        manifest = str(description["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"])
        answers = str(description["TransformOutput"]["S3OutputPath"])
        own, theirs = manifest.removesuffix("manifest.json"), answers.removesuffix("answers/")
        return cls(manifest, f"{own}order.json", answers, f"{theirs}results.jsonl")


def job_name(outputs: Mapping[str, Any], now: datetime.datetime) -> str:
    """Return a name by the time; the role is good for logs of the stage's prefix only."""
    return f"{outputs['prefix']}-bulk-{now:%Y%m%d-%H%M%S-%f}"[:MAX_JOB_NAME]


def manifest(uri: str, keys: list[str]) -> list[Any]:
    """Return what the job reads: of a prefix it would take every object, whatever it is."""
    prefix = split_uri(uri)[1]
    return [{"prefix": uri}, *(key.removeprefix(prefix) for key in keys)]


def payload_mb(largest: int) -> int:
    """Return what a request may hold, in MB, for a largest photo of so many bytes."""
    return max(_LEAST_PAYLOAD_MB, -(-largest // 2**20))


def request(
    outputs: Mapping[str, Any], options: TransformOptions, places: Places, name: str, payload: int
) -> Request:
    """Return the parameters of CreateTransformJob. Pure.

    How many requests are under way to an instance is left to its model server, which knows its processors.
    """
    source = {"S3DataType": "ManifestFile", "S3Uri": places.manifest}
    return {
        "TransformJobName": name,
        "ModelName": outputs["model_name"],
        "BatchStrategy": "SingleRecord",
        "MaxPayloadInMB": payload,
        "ModelClientConfig": {"InvocationsTimeoutInSeconds": _TIMEOUT, "InvocationsMaxRetries": _RETRIES},
        "Environment": {"KENNEL_MAX_BODY_BYTES": str(payload * 2**20)},
        "TransformInput": {
            "DataSource": {"S3DataSource": source},
            "ContentType": "application/x-image",
            "SplitType": "None",
            "CompressionType": "None",
        },
        "TransformOutput": {"S3OutputPath": places.answers, "Accept": _ACCEPT, "AssembleWith": "None"},
        "TransformResources": {"InstanceType": options.instance_type, "InstanceCount": options.instances},
        "Tags": [{"Key": "kennel:stage", "Value": outputs["prefix"]}],
    }


def describe(client: Any, name: str) -> dict[str, Any] | None:
    """Return what SageMaker says of the transform job, None where there is none of the name."""
    try:
        found: dict[str, Any] = client.describe_transform_job(TransformJobName=name)
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return found


def follow(
    stage: Stage, name: str, photos: int, say: Say, *, progress: bool = True, interval: float = 2.0
) -> dict[str, Any]:
    """Show the job until it is over, however it ends; return its final description.

    Raises:
        JobError: it is deleted meanwhile.
    """
    view = _Transform(stage, name, photos, say, progress=progress)
    try:
        return watch(view, interval)
    finally:
        view.close()


def reasons(logs: Any, name: str) -> dict[str, str]:
    """Return why objects got no answer, by bucket/key, from the job's data log."""
    found: dict[str, list[str]] = {}
    for line in Logs(logs, LOG_GROUP, name).fresh():
        match = _DATA_LOG.fullmatch(line.text)
        if match:
            found.setdefault(match["object"], []).append(match["text"])
    return {key: " ".join(lines) for key, lines in found.items()}


class _Transform(View):
    status_key = "TransformJobStatus"
    keeps_what_it_has = True

    def __init__(self, stage: Stage, name: str, photos: int, say: Say, *, progress: bool) -> None:
        super().__init__(name, say, progress=progress, unit="photo")
        self._client, self._s3 = stage.client("sagemaker"), stage.client("s3")
        self._logs = Logs(stage.client("logs"), LOG_GROUP, name)
        self._bar.total = photos
        self._said: set[str] = set()

    def describe(self) -> dict[str, Any] | None:
        return describe(self._client, self.name)

    def show(self, description: dict[str, Any]) -> int:
        lines = self._logs.fresh()
        for line in lines:
            self._show_line(line)
        began = "TransformStartTime" in description
        status = str(description[self.status_key])
        state = "Starting instances" if status == "InProgress" and not began else status
        if state not in self._said:
            self._said.add(state)
            self.say(f"{datetime.datetime.now().astimezone():%H:%M:%S} {state}")
        if began and not self._bar.disable:
            bucket, prefix = split_uri(description["TransformOutput"]["S3OutputPath"])
            self._bar.n = len(sizes(self._s3, bucket, prefix))
            self._bar.refresh()
        return len(lines)

    def _show_line(self, line: Line) -> None:
        """Of the data log alone: the server's own says each request, for which there will be a row."""
        if "[sagemaker logs]: " in line.text:
            self.say(line.text.partition("[sagemaker logs]: ")[2])
