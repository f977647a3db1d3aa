"""Makes the next command come right after one that was killed.

An apply leaves a marker until it has succeeded. Where the marker is found again, the apply failed or was killed:
what it made and could not store in the state is removed, a lock that its death left behind is taken away, and the
next plan starts from what the state says. Where the embedded cloud itself was killed, everything in it is gone, the
state among it: the marker then only tells so.
"""

from __future__ import annotations

import getpass
import json
import socket
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from ml.errors import KennelError
from ops.paths import shown
from ops.stage import Stage
from ops.sweep import Found, Sweeper
from ops.terraform import Terraform


class Marker:
    """The record of an apply that is at work, on this machine's disk."""

    def __init__(self, stage: Stage) -> None:
        self.file = stage.directory / "apply.marker.json"

    def set(self, *, identity: str, known: list[str]) -> None:
        """Say that an apply begins; `identity` tells clouds apart, `known` is what the state holds."""
        started = datetime.now(UTC).isoformat(timespec="seconds")
        self.file.write_text(json.dumps({"started": started, "identity": identity, "known": known}))

    def clear(self) -> None:
        self.file.unlink(missing_ok=True)

    def read(self) -> dict[str, Any] | None:
        return json.loads(self.file.read_text()) if self.file.is_file() else None


def recover(terraform: Terraform, sweeper: Sweeper, cloud_identity: str) -> list[str]:
    """Repair what a killed command left; return what was found, a sentence each.

    Raises:
        KennelError: another run is at work, or the state looks lost.
    """
    refuse_when_at_work(terraform)
    notes = release_stale_lock(terraform)
    marker = Marker(terraform.stage)
    interrupted = marker.read()
    if interrupted is None:
        return notes
    began = f"An apply that began at {interrupted['started']} did not finish."
    if interrupted["identity"] != cloud_identity:
        marker.clear()
        return [
            *notes,
            f"{began} The cloud that it worked on has ended since, and all that it held: starting anew.",
        ]
    known = terraform.addresses()
    if len(known) < len(interrupted["known"]) // 2:
        raise KennelError(
            "After an apply that did not finish, the state holds at least what it held before.",
            f"{len(known)} resources now, {len(interrupted['known'])} then",
            "Restore the state's last good version in its bucket (it is versioned), then run the same command again.",
        )
    orphans = unknown_to(terraform, sweeper.find())
    left = sweeper.remove(orphans)
    if left:
        raise KennelError(
            "What an unfinished apply made is removed before the next plan.",
            ", ".join(str(found) for found in left),
            "Remove it by hand, then run the same command again.",
        )
    marker.clear()
    if not orphans:
        return [*notes, f"{began} Everything that it had made is recorded in the state."]
    return [*notes, f"{began} Removed what it had made and not recorded: {summary(orphans)}."]


def refuse_when_at_work(terraform: Terraform) -> None:
    """See that no terraform of an earlier command is still at work: it goes on when its command is killed.

    Raises:
        KennelError: one is.
    """
    running = terraform.running()
    if running is not None:
        raise KennelError(
            "One terraform at a time works on a stage.",
            f"process {running.pid}, terraform {running.command}, is still at work",
            f"Wait until it has ended (its log: {shown(terraform.log)}), then run the same command again.",
        )


def unknown_to(terraform: Terraform, found: list[Found]) -> list[Found]:
    """Return what exists and does not occur in the state."""
    state = terraform.state_text()
    unknown = [entry for entry in found if f'"{entry.identifier}"' not in state]
    return [
        entry for entry in unknown if entry.kind != "log group" or is_empty(terraform.stage, entry.identifier)
    ]


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

    Terraform's lock says user and host, not the process. On this host every terraform of ours is recorded with its
    process id, so that a lock from this host and user without a living record belongs to a dead one.

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
    if lock["Who"] != f"{getpass.getuser()}@{socket.gethostname()}":
        raise KennelError(
            "One person at a time works on a stage.",
            f"{lock['Who']} holds the state's lock since {lock['Created']} ({lock['Operation']})",
            f"Wait for it; if that run is dead for certain: terraform force-unlock {lock['ID']}",
        )
    terraform.unlock(lock["ID"])
    return [f"Released the state lock that a killed terraform left at {lock['Created'][:19]}."]
