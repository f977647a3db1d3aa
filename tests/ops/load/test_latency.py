from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.load.latency import Latency


def test_percentiles_are_right_to_three_digits() -> None:
    found = Latency.of(number / 10_000 for number in range(1, 20_001))
    assert found is not None
    assert found.percentiles == pytest.approx({"50": 1000, "90": 1800, "99": 1980, "99.9": 1998}, rel=2e-3)
    assert (found.max, found.few) == (2000, [])


def test_a_percentile_that_no_answer_lies_beyond_is_none_and_few_are_told() -> None:
    found = Latency.of([0.01] * 500)
    assert found is not None
    assert found.percentiles == {"50": pytest.approx(10, rel=1e-3), "90": pytest.approx(10, rel=1e-3),
                                 "99": pytest.approx(10, rel=1e-3), "99.9": None}  # fmt: skip
    assert found.few == ["99", "99.9"]


def test_of_nothing_there_is_no_latency() -> None:
    assert Latency.of([]) is None


@given(st.lists(st.floats(0, 700), min_size=1, max_size=300))
def test_percentiles_ascend_and_end_below_the_maximum(seconds: list[float]) -> None:
    found = Latency.of(seconds)
    assert found is not None
    known = [value for value in found.percentiles.values() if value is not None]
    assert known == sorted(known)
    assert all(value <= found.max for value in known)
    curve = [value for _, value in found.curve]
    assert curve == sorted(curve)
    assert [percentile for percentile, _ in found.curve] == sorted(
        {percentile for percentile, _ in found.curve}
    )
