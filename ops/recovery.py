"""Makes the next command come right after one that was killed.

An apply leaves a marker until it has succeeded. Where the marker is found again, the apply failed or was killed:
what it made and could not store in the state is found, and the next apply removes it first. A lock that its death
left behind is taken away. Where the embedded cloud itself was killed, everything in it is gone, the state among it:
the marker then only tells so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from ml.errors import KennelError
from ops import files, leftovers, live
from ops.fleet import component_models
from ops.paths import shown
from ops.stage import Stage
from ops.sweep import MADE, Found, Sweeper
from ops.terraform import Terraform


class Marker:
    """The record of an apply that has begun and not succeeded, on this machine's disk."""

    def __init__(self, stage: Stage) -> None:
        self.file = stage.directory / "apply.marker.json"

    def set(self, *, identity: str, known: int) -> None:
        """Say that an apply begins; `identity` tells clouds apart, `known` counts what the state holds."""
        started = datetime.now(UTC).isoformat(timespec="seconds")
        files.write_json(self.file, {"started": started, "identity": identity, "known": known})

    def clear(self) -> None:
        self.file.unlink(missing_ok=True)

    def read(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = files.read_json(self.file)
        return found


@dataclass(frozen=True)
class Findings:
    """What a killed command left: in words, and what the next apply has to remove."""

    notes: list[str]
    orphans: list[Found]


def examine(terraform: Terraform, sweeper: Sweeper, cloud_identity: str) -> Findings:
    """Find what a killed command left; release its lock, and give the state what it could not store.

    Raises:
        KennelError: another run is at work, or the state looks lost.
    """
    refuse_when_at_work(terraform)
    notes = [*end_left_behind(terraform), *release_stale_lock(terraform)]
    terraform.record.unlink(missing_ok=True)  # it has told what it can
    marker = Marker(terraform.stage)
    unfinished = marker.read()
    if unfinished is None:
        return Findings(notes, [])
    began = f"An apply that began at {unfinished['started']} did not finish."
    if unfinished["identity"] != cloud_identity:
        marker.clear()
        terraform.errored_state.unlink(missing_ok=True)
        gone = "The cloud that it worked on has ended since, and all that it held: starting anew."
        return Findings([*notes, f"{began} {gone}"], [])
    if terraform.errored_state.is_file():
        terraform.push_state(terraform.errored_state)
        notes.append("Stored the state that Terraform could not store then.")
    state = terraform.state()
    known = count(state)
    if known < unfinished["known"] // 2:
        raise KennelError(
            "After an apply that did not finish, the state holds at least what it held before.",
            f"{known} resources now, {unfinished['known']} then",
            "Restore the state's last good version in its bucket (it is versioned), then run the command again.",
        )
    orphans = unknown_to(state, sweeper)
    if not orphans:
        return Findings([*notes, f"{began} Everything that it made is recorded in the state."], [])
    return Findings([*notes, f"{began} It had made, and not recorded: {summary(orphans)}."], orphans)


def remove(sweeper: Sweeper, orphans: list[Found]) -> None:
    """Remove what an unfinished apply made and did not record.

    Raises:
        KennelError: something resists.
    """
    left = sweeper.remove(orphans)
    if left:
        raise KennelError(
            "What an unfinished apply made is removed before the next one.",
            ", ".join(str(found) for found in left),
            "Remove it by hand, then run the same command again.",
        )


def refuse_when_at_work(terraform: Terraform) -> None:
    """See that no terraform of an earlier command is still at work: it goes on when its command is killed.

    Raises:
        KennelError: one is.
    """
    running = terraform.running()
    if running is not None and running.is_alive:
        raise KennelError(
            "One terraform at a time works on a stage.",
            f"process {running.pid}, terraform {running.command}, is still at work",
            f"Wait until it has ended (its log: {shown(terraform.log)}), then run the same command again.",
        )


def end_left_behind(terraform: Terraform) -> list[str]:
    """End the providers of a terraform that was killed: they outlive it, and may go on making what it asked for."""
    running = terraform.running()
    ended = leftovers.end(running.pid, terraform.mark) if running is not None else 0
    return (
        [f"Ended {ended} process{'es' * (ended > 1)} that a killed terraform left running."] if ended else []
    )


def count(state: dict[str, Any]) -> int:
    """Return how many resources the state holds."""
    return sum(
        len(resource["instances"]) for resource in state.get("resources", []) if resource["mode"] == "managed"
    )


def unknown_to(state: dict[str, Any], sweeper: Sweeper) -> list[Found]:
    """Return what exists, does not occur in the state, and serves nobody."""
    text = json.dumps(state)
    found = [entry for entry in sweeper.find() if entry.kind in MADE]
    served = in_service(sweeper, [entry.identifier for entry in found if entry.kind == "endpoint"])
    unknown = [
        entry for entry in found if f'"{entry.identifier}"' not in text and entry.identifier not in served
    ]
    return [
        entry for entry in unknown if entry.kind != "log group" or is_empty(sweeper.stage, entry.identifier)
    ]


def in_service(sweeper: Sweeper, endpoints: list[str]) -> set[str]:
    """Return the names of what endpoints run and are scaled by, once the endpoints are at rest.

    Terraform may have been killed while it waited for an update: the endpoint then moves to a configuration that
    the state does not know. Scaling is given back without Terraform where an update to another instance type fails.
    """
    client = sweeper.client("sagemaker")
    names: set[str] = set()
    for endpoint in endpoints:
        live.wait_until_stable(sweeper.stage, endpoint)
        configuration = client.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
        variants = client.describe_endpoint_config(EndpointConfigName=configuration)["ProductionVariants"]
        models = [variant["ModelName"] for variant in variants if "ModelName" in variant]
        names |= {configuration, *(models or component_models(client, endpoint))}
        names |= {f"endpoint/{endpoint}/variant/{variant['VariantName']}" for variant in variants}
    return names


def is_empty(stage: Stage, log_group: str) -> bool:
    """Whether a log group has no stream: made by Terraform, and not by a service that has written to it."""
    return not stage.client("logs").describe_log_streams(logGroupName=log_group, limit=1)["logStreams"]


def summary(found: list[Found]) -> str:
    """Return what was found as words: `2 subnets, 1 VPC`."""
    kinds = [entry.kind for entry in found]
    return ", ".join(
        f"{kinds.count(kind)} {kind}{'s' * (kinds.count(kind) > 1)}" for kind in dict.fromkeys(kinds)
    )


def release_stale_lock(terraform: Terraform) -> list[str]:
    """Remove the state lock of a terraform of ours that is dead.

    Terraform's lock says user and host, not the process. A terraform that was killed is still recorded here, and its
    process is gone; a lock without such a record is somebody else's.

    Raises:
        KennelError: somebody else holds the lock.
    """
    backend = terraform.backend or {}
    try:
        body = terraform.stage.client("s3").get_object(
            Bucket=backend["bucket"], Key=f"{backend['key']}.tflock"
        )
    except ClientError:
        return []  # no lock, or no bucket yet
    lock = json.loads(body["Body"].read())
    if terraform.running() is None:
        raise KennelError(
            "One person at a time works on a stage.",
            f"{lock['Who']} holds the state's lock since {lock['Created'][:19]} ({lock['Operation']})",
            f"Wait for it. If that run is dead for certain, delete s3://{backend['bucket']}/{backend['key']}.tflock",
        )
    terraform.unlock(lock["ID"])
    return [f"Released the state lock that a killed terraform left at {lock['Created'][:19]}."]
