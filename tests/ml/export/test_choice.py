from __future__ import annotations

from typing import Any

import pytest

from ml.export.choice import Candidate, best, verdict

F32 = Candidate("f32", "", top1=0.95, agreement=1.0, difference=0.0, photos_per_core_second=50)
BF16 = Candidate("bf16", "", top1=0.95, agreement=0.995, difference=0.02, photos_per_core_second=100)
INT8 = Candidate("int8", "", top1=0.95, agreement=0.985, difference=0.08, photos_per_core_second=200)
UNABLE = Candidate("bf16", "the processor has no instructions for bf16")


def changed(candidate: Candidate, **values: Any) -> Candidate:
    return Candidate(**{**candidate.__dict__, **values})


@pytest.mark.parametrize(
    ("candidates", "chosen", "verdicts"),
    [
        pytest.param(
            [F32, BF16, INT8],
            "int8",
            ["slower than int8", "slower than int8", "the fastest that is as accurate as f32"],
            id="the fastest",
        ),
        pytest.param(
            [F32, BF16, changed(INT8, top1=0.944)],
            "bf16",
            [
                "slower than bf16",
                "the fastest that is as accurate as f32",
                "0.6 points less accurate than f32",
            ],
            id="not what is less accurate",
        ),
        pytest.param([F32, BF16, changed(INT8, top1=0.945)], "int8", None, id="half a point is allowed"),
        pytest.param(
            [F32, changed(BF16, top1=0.94), changed(INT8, top1=0.9)],
            "f32",
            None,
            id="f32 where nothing else is good enough",
        ),
        pytest.param(
            [F32, BF16, changed(INT8, photos_per_core_second=109)],
            "bf16",
            [
                "slower than bf16",
                "the fastest that is as accurate as f32",
                "not a tenth faster than bf16, which is more exact",
            ],
            id="a little faster does not count",
        ),
        pytest.param(
            [F32, changed(BF16, photos_per_core_second=40), changed(INT8, photos_per_core_second=45)],
            "f32",
            [
                "nothing else is better",
                "not a tenth faster than f32, which is more exact",
                "not a tenth faster than f32, which is more exact",
            ],
            id="f32 where nothing is faster",
        ),
        pytest.param(
            [F32, UNABLE, INT8],
            "int8",
            ["slower than int8", UNABLE.why, "the fastest that is as accurate as f32"],
            id="not what the processor cannot do",
        ),
    ],
)
def test_the_fastest_precision_that_is_as_accurate_as_f32_serves(
    candidates: list[Candidate], chosen: str, verdicts: list[str] | None
) -> None:
    found = best(candidates)
    assert found == chosen
    told = [verdict(each, found, "auto", candidates) for each in candidates]
    assert all(told)
    assert verdicts is None or told == verdicts


def test_a_precision_that_was_asked_for_says_so() -> None:
    worse = changed(INT8, top1=0.5)
    told = [verdict(each, "int8", "int8", [F32, worse]) for each in (F32, worse)]
    assert told == ["to compare with", "asked for"]
