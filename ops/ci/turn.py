"""Runs of several pull requests plan the same stage: each waits until the one before has let go of the state's lock."""

from __future__ import annotations

import time
from collections.abc import Callable

from botocore.exceptions import ClientError

from ops import state_bucket
from ops.stage import Stage

SECONDS = 900  # then whoever looks next says who holds it
LOOK = 5


def wait(stage: Stage, say: Callable[[str], None]) -> None:
    """Wait until nobody holds the lock, or for as long as a plan may take."""
    deadline = time.monotonic() + SECONDS
    told = False
    while _is_held(stage) and time.monotonic() < deadline:
        if not told:
            say("Somebody else is at work on the stage: waiting for the state's lock.")
            told = True
        time.sleep(LOOK)


def _is_held(stage: Stage) -> bool:
    try:
        stage.client("s3").head_object(Bucket=state_bucket.name(stage), Key=f"{state_bucket.KEY}.tflock")
    except ClientError:
        return False
    return True
