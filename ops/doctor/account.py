"""Who asks, in which account and region, and whether this machine's clock is right."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from ops.doctor.finding import Finding
from ops.stage import LOCAL, Stage

SIGNED_OUT = (
    CredentialRetrievalError, NoCredentialsError, PartialCredentialsError, ProfileNotFound, SSOError,
    TokenRetrievalError,
)  # fmt: skip
SKEW_SECONDS = 300  # SigV4 takes no more
SOON = timedelta(minutes=30)  # a deployment may take as long


def cloud(stage: Stage) -> Iterator[Finding]:
    if stage.name == LOCAL and not stage.is_running:
        yield Finding(
            "cloud", "warning", "the embedded cloud is not running", "./inv cloud.start, or ./inv plan"
        )
    elif stage.name == LOCAL:
        yield Finding("cloud", "ok", stage.identity)


def credentials(stage: Stage) -> Iterator[Finding]:
    """Tell whose they are, and until when."""
    try:
        arn = stage.client("sts").get_caller_identity()["Arn"]
    except SIGNED_OUT as error:
        remedy = "Sign in (aws sso login, or AWS_PROFILE), or work on --stage local."
        yield Finding("credentials", "error", str(error), remedy)
        return
    kept = stage.session.get_credentials()
    until: datetime | None = getattr(kept, "_expiry_time", None)  # botocore shows it nowhere else
    text = arn if until is None else f"{arn}, until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if until is not None and until - datetime.now(UTC) < SOON:
        remedy = "Sign in again (aws sso login) before anything that takes longer."
        yield Finding("credentials", "warning", text, remedy)
    elif arn.endswith(":root") and stage.name != LOCAL:
        remedy = "Use a role or a user: root can be held back by no policy."
        yield Finding("credentials", "warning", text, remedy)
    else:
        yield Finding("credentials", "ok", text)


def region(stage: Stage) -> Iterator[Finding]:
    """See that the account may use the region that the tfvars name."""
    used = stage.environment.get("AWS_REGION")
    if used != stage.region:
        remedy = f"Set region in {stage.variables_file.name} to where the cloud is."
        yield Finding("region", "error", f"the stage's is {stage.region}, and the cloud is in {used}", remedy)
        return
    try:
        found = stage.client("ec2").describe_regions(RegionNames=[stage.region], AllRegions=True)["Regions"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidParameterValue":
            raise
        found = []
    state = found[0].get("OptInStatus", "opt-in-not-required") if found else "not a region of AWS"
    if state in {"opt-in-not-required", "opted-in"}:
        yield Finding("region", "ok", stage.region)
    else:
        remedy = (
            f"Enable it for the account (Account settings), or set region in {stage.variables_file.name}."
        )
        yield Finding("region", "error", f"{stage.region}: {state}", remedy)


def clock(stage: Stage) -> Iterator[Finding]:
    """Compare this machine's clock with the cloud's: a signature of another time is refused."""
    try:
        answer: Any = stage.client("sts").get_caller_identity()
    except BotoCoreError:  # nobody was asked, or reached
        return
    except ClientError as error:  # which may be because of the clock
        answer = error.response
    told = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if told is None:
        remedy = "Compare this machine's clock by hand: from 5 minutes, AWS refuses."
        yield Finding("clock", "warning", "the cloud did not tell its time", remedy)
        return
    behind = (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds()
    text = f"{abs(behind):.0f} s {'behind' if behind > 0 else 'ahead of'} the cloud's"
    if abs(behind) > SKEW_SECONDS:
        remedy = "Set this machine's clock (NTP): AWS refuses what is signed more than 5 minutes off."
        yield Finding("clock", "error", text, remedy)
    elif abs(behind) > SKEW_SECONDS / 5:
        yield Finding(
            "clock", "warning", text, "Set this machine's clock (NTP); from 5 minutes, AWS refuses."
        )
    else:
        yield Finding("clock", "ok", text)
