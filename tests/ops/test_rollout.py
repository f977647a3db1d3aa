from __future__ import annotations

from typing import Any

import pytest

from ml.errors import KennelError
from ops.rollout import Rollout


@pytest.mark.parametrize(
    ("flags", "rollout", "words"),
    [
        ({"canary": "25"}, Rollout("CANARY", 25), "canary 25 %"),
        ({"canary": "1%"}, Rollout("CANARY", 1), "canary 1 %"),
        ({"linear": 50}, Rollout("LINEAR", 50), "linear 50 %"),
        ({"at_once": True}, Rollout("ALL_AT_ONCE"), "all at once"),
    ],
)
def test_a_flag_says_how_traffic_moves(flags: dict[str, Any], rollout: Rollout, words: str) -> None:
    assert Rollout.chosen(**flags) == rollout
    assert str(rollout) == words


def test_without_a_flag_the_stage_says_how() -> None:
    assert Rollout.chosen() is None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            {"canary": "0"},
            "--canary is the share of the new fleet that takes traffic first, .* from 1 to 50.",
        ),
        ({"canary": "60"}, "from 1 to 50.\nReceived: 60\nRemedy: Such as --canary 10"),
        ({"canary": "ten"}, "from 1 to 50.\nReceived: ten"),
        ({"canary": "2.5"}, "a whole number of percent"),
        ({"linear": "5"}, "--linear is each step, a whole number of percent from 10 to 50."),
        ({"canary": "5", "at_once": True}, "exclude each other"),
    ],
)
def test_what_is_no_share_is_refused(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(KennelError, match=message):
        Rollout.chosen(**flags)
