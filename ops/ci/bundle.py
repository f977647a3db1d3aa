"""A plan that waits for its pull request to be merged, kept in the stage's state bucket.

A plan holds everything that the state holds, secrets included: it stays where the state is, encrypted, and only the
redacted review goes to the forge. docs/adr/0016-a-plan-waits-in-the-state-bucket.md gives the reasons.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from ml.errors import KennelError
from ops import state_bucket
from ops.stage import Stage

VERSION = 1
PREFIX = "plans/"
MODELS = "models/"  # archives of models that a pull request is to deploy
PLAN = "plan.tfplan"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """What a plan was made of, and when it is stale."""

    version: int
    stage: str
    commit: str  # the pull request's last
    pull_request: int
    digest: str  # SHA-256 of the plan
    inputs: str  # digest of what it was made from
    lock: str  # digest of the provider's lock file
    lineage: str | None  # of the state; None before the first apply
    serial: int | None
    exit_code: int  # 0 nothing, 2 changes, 3 needs approval
    made: str  # UTC


def digest(file: Path) -> str:
    """Return the file's SHA-256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def keep(stage: Stage, manifest: Manifest, plan: Path) -> None:
    """Put the plan into the bucket, the manifest last: without it there is no plan."""
    s3, bucket = stage.client("s3"), state_bucket.name(stage)
    s3.put_object(Bucket=bucket, Key=_key(manifest.commit, PLAN), Body=plan.read_bytes())
    body = json.dumps(asdict(manifest), indent=2).encode()
    s3.put_object(Bucket=bucket, Key=_key(manifest.commit, MANIFEST), Body=body)


def fetch(stage: Stage, commit: str, directory: Path) -> Manifest:
    """Bring the plan of a pull request's last commit into the directory.

    Raises:
        KennelError: there is none, or its files are not those that were kept.
    """
    body = _read(stage, commit, MANIFEST)
    if body is None:
        raise KennelError(
            "What is applied was planned and reviewed in its pull request.",
            f"no plan of the commit {commit[:12]} for the stage {stage.name}: it failed, or is too old",
            again(stage),
        )
    manifest = _parsed(stage, commit, body)
    directory.mkdir(parents=True, exist_ok=True)
    content = _read(stage, commit, PLAN) or b""
    if hashlib.sha256(content).hexdigest() != manifest.digest:
        raise KennelError(
            "A kept plan is the one that was reviewed, to the byte.",
            f"that of the commit {commit[:12]} has another SHA-256 than its manifest says",
            f"Somebody has changed it in the bucket {state_bucket.name(stage)}. {again(stage)}",
        )
    (directory / PLAN).write_bytes(content)
    return manifest


def again(stage: Stage) -> str:
    """Return what to do where a plan cannot be applied."""
    flag = "" if stage.name == "local" else f" --stage {stage.name}"
    return (
        "Open another pull request (an empty commit on a new branch will do): its plan is made anew, reviewed and "
        f"applied. By hand: ./inv plan{flag}, read it, ./inv apply{flag}."
    )


def _parsed(stage: Stage, commit: str, body: bytes) -> Manifest:
    try:
        found: dict[str, Any] = json.loads(body)
        manifest = Manifest(**{field.name: found[field.name] for field in fields(Manifest)})
        if (manifest.version, manifest.stage, manifest.commit) == (VERSION, stage.name, commit):
            return manifest
        received = f"version {manifest.version}, stage {manifest.stage}, commit {manifest.commit}"
    except (ValueError, KeyError, TypeError) as error:
        received = repr(error)
    raise KennelError(
        f"A kept plan's manifest is of version {VERSION}, its stage and its commit.", received, again(stage)
    )


def _read(stage: Stage, commit: str, name: str) -> bytes | None:
    try:
        answer = stage.client("s3").get_object(Bucket=state_bucket.name(stage), Key=_key(commit, name))
    except ClientError as error:
        if error.response["Error"]["Code"] in {"404", "NoSuchKey"}:
            return None
        raise
    content: bytes = answer["Body"].read()
    return content


def _key(commit: str, name: str) -> str:
    return f"{PREFIX}{commit}/{name}"
