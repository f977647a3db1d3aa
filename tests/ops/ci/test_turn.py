from __future__ import annotations

import pytest

from ops.ci import turn
from ops.stage import Stage
from tests.ops.ci.conftest import FakeS3

LOCK = "kennel/terraform.tfstate.tflock"


def test_a_run_waits_until_the_lock_is_let_go_of(
    stage: Stage, s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.objects[LOCK] = b"held"
    looks = iter([lambda: None, lambda: s3.objects.pop(LOCK)])
    monkeypatch.setattr(turn.time, "sleep", lambda _: next(looks)())
    said: list[str] = []
    turn.wait(stage, said.append)
    assert LOCK not in s3.objects
    assert said == ["Somebody else is at work on the stage: waiting for the state's lock."]


def test_a_lock_that_stays_is_left_to_whoever_tells_of_it(
    stage: Stage, s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.objects[LOCK] = b"held"
    monkeypatch.setattr(turn, "SECONDS", 0)
    turn.wait(stage, lambda _: None)
    assert LOCK in s3.objects
