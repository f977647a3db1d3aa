"""Asks the deployed model about all photos below an s3:// address: SageMaker's batch transform.

A photo that cannot be read gets a row that says so; one that gets no answer at all does not take the others with it.
"""

from __future__ import annotations

import collections
import datetime
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ml.errors import KennelError
from ops import files, prices
from ops.jobs import answers, rights, sagemaker, transform
from ops.jobs.answers import Order
from ops.jobs.follow import JobError, detachable
from ops.jobs.source import as_prefix, split_uri
from ops.jobs.transform import MAX_PHOTO_MB, Places, TransformOptions
from ops.paths import RUNS, shown
from ops.predict import EXTENSIONS
from ops.stage import CAPACITY_FILE, Stage

Say = Callable[[str], None]

START_SECONDS = 240  # until an instance has the container and the model; assumed, and paid for
PHOTOS_A_SECOND = 20.0  # an instance answers; assumed, where `load --capacity` has not measured the type
_SHOWN_NAMES = 10
_SHOWN_ERRORS = 5


@dataclass(frozen=True)
class Plan:
    """What a job would do, and what it would cost."""

    order: Order
    largest: int  # bytes of a photo
    others: int  # objects that are no photos, by their names
    options: TransformOptions
    output: str | None  # s3:// address; None: the scratch folder
    rate: float  # photos a second an instance answers
    rate_is_measured: bool
    price: float | None  # USD an instance and hour; None: not in the table
    warnings: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """That the instances run, about."""
        return START_SECONDS + len(self.order.photos) / (self.rate * self.options.instances)

    @property
    def summary(self) -> str:
        count, kind = self.options.instances, self.options.instance_type
        lines = [f"{len(self.order.photos):,} photos below {self.order.uri}, on {count} × {kind}."]
        if self.order.left_out:
            lines.append(f"Left out: {len(self.order.left_out):,} photos that are empty or too large.")
        if self.others:
            kinds = ", ".join(sorted(EXTENSIONS))
            lines.append(f"Not looked at, for its name: {self.others:,} of another kind than {kinds}.")
        minutes = self.seconds / 60
        source = "measured" if self.rate_is_measured else "assumed"
        basis = f"{self.rate:.0f} photos a second and instance are {source}, {START_SECONDS // 60} minutes to start"
        if self.price is None:
            lines.append(f"About {minutes:.0f} minutes ({basis}); the price of {kind} is not in the table.")
        else:
            cost = count * self.price * self.seconds / 3600
            lines.append(f"About {minutes:.0f} minutes and ${cost:.2f}: {basis}, ${self.price:.4g} an hour.")
        return "\n".join([*lines, *(f"Warning: {warning}" for warning in self.warnings)])


@dataclass(frozen=True)
class Results:
    """What a job has left."""

    file: Path
    uri: str
    counts: collections.Counter[str]  # photos by name; "" without an answer
    seconds: float | None  # that instances ran
    failure: str | None  # of the job as a whole

    @property
    def photos(self) -> int:
        return self.counts.total()

    @property
    def unanswered(self) -> int:
        return self.counts[""]

    @property
    def summary(self) -> str:
        lines = [f"{self.photos - self.unanswered:,} of {self.photos:,} photos answered."]
        named = [(name, count) for name, count in self.counts.most_common() if name]
        lines += [f"{count:>8,}  {name}" for name, count in named[:_SHOWN_NAMES]]
        if len(named) > _SHOWN_NAMES:
            rest = sum(count for _, count in named[_SHOWN_NAMES:])
            lines.append(f"{rest:>8,}  in {len(named) - _SHOWN_NAMES} other classes")
        if self.unanswered:
            lines.append(f"{self.unanswered:>8,}  without an answer, such as")
            wrong = (row for row in map(json.loads, self.lines) if row["error"])
            lines += [f"{'':8}    {row['key']}: {row['error']}" for row in islice(wrong, _SHOWN_ERRORS)]
        if self.failure:
            lines.append(f"The job as a whole: {self.failure}")
        if self.seconds:
            lines.append(f"Instances ran for {self.seconds:.0f} s.")
        return "\n".join([*lines, f"Results: {shown(self.file)}", f"         {self.uri}"])

    @property
    def lines(self) -> Iterator[str]:
        """The rows, each as a line of JSON."""
        with self.file.open(encoding="utf-8") as rows:
            for row in rows:
                yield row.rstrip("\n")


def options(
    source: str | None, image: str | None, given: Mapping[str, Any], *, raw: bool
) -> TransformOptions:
    """Check the flags of `predict` against each other.

    Raises:
        KennelError: they do not go together.
    """
    if (source is None) == (image is None):
        raise KennelError(
            "A prediction is for --image or for --bulk.",
            "neither" if image is None else "both",
            "--image takes a photo, a folder or a URL, --bulk an s3:// address.",
        )
    said = {name: value for name, value in given.items() if value is not None}
    if source is None and said:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in said)
        raise KennelError(f"{flags} is for --bulk.", flags, "Leave it out, or use --bulk.")
    if source is not None and raw:
        raise KennelError("--raw is for --image.", "--raw --bulk", "Leave out --raw.")
    said.pop("output", None)
    return TransformOptions(**said)


def plan(
    stage: Stage, outputs: Mapping[str, Any], source: str, output: str | None, options: TransformOptions
) -> Plan:
    """Check everything that would make the job fail; return what it would do.

    Raises:
        KennelError: something would not work; nothing has been started.
    """
    uri = _address(source, output)
    _check_deployed(stage, outputs)
    client = stage.client("sagemaker")
    options.check(client)
    sizes = rights.readable(stage, outputs, uri)
    photos = {key: size for key, size in sizes.items() if Path(key).suffix.lower() in EXTENSIONS}
    left_out = {
        key: "The object is empty." if size == 0 else f"A photo may have {MAX_PHOTO_MB} MB at most."
        for key, size in photos.items()
        if not 0 < size <= MAX_PHOTO_MB * 2**20
    }
    order = Order(uri, [key for key in photos if key not in left_out], left_out)
    if not order.photos:
        raise KennelError(
            "There are photos below the address.",
            f"{uri}: none with {', '.join(sorted(EXTENSIONS))}",
            "Mind spelling and case.",
        )
    places = Places.of(outputs, "x", output)
    warnings = rights.check_needs(stage, outputs, "endpoint", _needs(stage, outputs, order, places), uri)
    rate, measured = _rate(stage, options.instance_type)
    largest = max(photos[key] for key in order.photos)
    price = _price(options.instance_type, stage.region)
    others = len(sizes) - len(photos)
    return Plan(order, largest, others, options, output, rate, measured, price, warnings)


def run(stage: Stage, outputs: Mapping[str, Any], planned: Plan, say: Say) -> Results:
    """Start the job, follow it, and collect its answers.

    Raises:
        KennelError: it does not start, or leaves nothing; Detached on Ctrl-C.
    """
    name = transform.job_name(outputs, datetime.datetime.now(datetime.UTC))
    places = Places.of(outputs, name, planned.output)
    listing = transform.manifest(planned.order.uri, planned.order.photos)
    _put(stage, places.manifest, json.dumps(listing).encode())
    _put(stage, places.order, planned.order.to_json().encode())
    payload = transform.payload_mb(planned.largest)
    parameters = transform.request(outputs, planned.options, places, name, payload)
    with detachable(stage, name):
        sagemaker.create(stage.client("sagemaker").create_transform_job, parameters, "transform")
        say(f"Started the transform job {name} over {len(planned.order.photos):,} photos.")
    return attach(stage, name, say)


def attach(stage: Stage, name: str, say: Say) -> Results:
    """Follow the job to its end and collect its answers.

    Raises:
        KennelError: there is none of the name, or it leaves nothing; Detached on Ctrl-C.
    """
    with detachable(stage, name):
        description = transform.describe(stage.client("sagemaker"), name)
        if description is None:
            raise JobError("A job to follow exists.", name, "./inv jobs lists them.")
        places = Places.from_description(description)
        order = Order.read(stage, places.order)
        final = transform.follow(stage, name, len(order.photos), say)
        return _collect(stage, name, final, order, places)


def is_one(stage: Stage, name: str) -> bool:
    """Whether a job of the name is a transform job."""
    return transform.describe(stage.client("sagemaker"), name) is not None


def _collect(
    stage: Stage, name: str, description: Mapping[str, Any], order: Order, places: Places
) -> Results:
    status, failure = description["TransformJobStatus"], description.get("FailureReason")
    missing: dict[str, str] = {}
    if status != "Completed":
        missing = transform.reasons(stage.client("logs"), name)
        failure = failure or f"It is {status}."
    file = RUNS / "bulk" / f"{name}.jsonl"
    counts = answers.collect(stage, order, places.answers, missing, failure or "No answer.", file)
    if counts[""] == counts.total() and failure:
        raise JobError(
            f"The job {name} answers.", f"{status}: {failure}", "Correct what it names, and start again."
        )
    _put(stage, places.results, file.read_bytes())
    began, ended = description.get("TransformStartTime"), description.get("TransformEndTime")
    seconds = (ended - began).total_seconds() if began and ended else None
    return Results(file, places.results, counts, seconds, failure)


def _address(source: str, output: str | None) -> str:
    if not source.startswith("s3://"):
        raise KennelError(
            "--bulk is for photos in a bucket.",
            source,
            "--image asks about a photo or a folder of this machine.",
        )
    if output is not None and not output.startswith("s3://"):
        raise KennelError(
            "--output is an s3:// address.", output, "Leave it out: the results come here, too."
        )
    uri = as_prefix(source)
    if not uri.endswith("/"):
        raise KennelError("--bulk is for photos, each an object.", source, "Unpack the archive first.")
    return uri


def _check_deployed(stage: Stage, outputs: Mapping[str, Any]) -> None:
    if not outputs.get("model_name"):
        raise KennelError(
            "A prediction needs a deployed model.",
            "none",
            f"./inv train and ./inv apply, with --stage {stage.name}.",
        )


def _needs(stage: Stage, outputs: Mapping[str, Any], order: Order, places: Places) -> list[rights.Need]:
    """What the model's role must be allowed to: a transform job has no other."""
    arn = f"arn:{outputs['roles']['endpoint']['arn'].split(':')[1]}:s3:::"
    data, prefix = split_uri(order.uri)
    needs = [
        rights.Need(("s3:ListBucket",), f"{arn}{data}", prefix),
        rights.Need(("s3:GetObject",), f"{arn}{data}/{order.photos[0]}"),
        rights.Need(("s3:GetObject",), f"{arn}{'/'.join(split_uri(places.manifest))}"),
        rights.Need(("s3:PutObject",), f"{arn}{'/'.join(split_uri(places.answers))}x"),
    ]
    return [*needs, *rights.key_needs(stage, data, order.photos[0], split_uri(places.answers)[0])]


def _rate(stage: Stage, instance_type: str) -> tuple[float, bool]:
    """Photos a second that an instance answers, and whether that was measured."""
    capacity = files.read_json(stage.directory / CAPACITY_FILE) or {}
    if capacity.get("instance_type") == instance_type and capacity.get("requests_per_second", 0) > 0:
        return float(capacity["requests_per_second"]), True
    return PHOTOS_A_SECOND, False


def _price(instance_type: str, region: str) -> float | None:
    try:
        return prices.hourly_usd(instance_type, region, "transform")
    except KennelError:
        return None


def _put(stage: Stage, uri: str, body: bytes) -> None:
    bucket, key = split_uri(uri)
    try:
        stage.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
    except (ClientError, BotoCoreError) as error:
        raise KennelError(
            "You can write where the job reads its list, and where its results go.",
            f"{uri}: {error}",
            "Your own rights need s3:PutObject there.",
        ) from error
