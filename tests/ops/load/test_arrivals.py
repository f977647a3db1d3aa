from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.load.arrivals import times

RATES = st.lists(st.floats(0, 50), min_size=1, max_size=8)


@given(
    rates=RATES,
    interval=st.floats(0.1, 5),
    spacing=st.sampled_from(["poisson", "constant"]),
    seed=st.integers(),
)
def test_times_ascend_within_the_steps_that_have_a_rate(
    rates: list[float], interval: float, spacing: str, seed: int
) -> None:
    found = list(times(interval, rates, spacing, seed))  # type: ignore[arg-type]
    assert found == sorted(found)
    assert all(0 <= time < interval * len(rates) for time in found)
    assert all(
        rates[min(len(rates) - 1, int(time / interval + 1e-9))] > 0 or time % interval == 0 for time in found
    )


@given(rates=RATES, interval=st.floats(0.1, 5))
def test_constant_arrivals_are_as_many_as_the_rates_come_to(rates: list[float], interval: float) -> None:
    assert abs(len(list(times(interval, rates, "constant", 0))) - sum(rates) * interval) <= 1 + 1e-6


def test_constant_arrivals_are_equally_far_apart() -> None:
    assert list(times(1, (4, 2), "constant", 0)) == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1.5])


def test_poisson_arrivals_have_the_rate_and_spread_of_a_poisson_process() -> None:
    found = list(times(1000, (20,), "poisson", 1))
    assert abs(len(found) - 20_000) < 5 * math.sqrt(20_000)
    gaps = [later - earlier for earlier, later in itertools.pairwise(found)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert math.sqrt(variance) / mean == pytest.approx(1, abs=0.05)


def test_the_same_seed_gives_the_same_times_and_another_gives_others() -> None:
    first = list(times(10, (20,), "poisson", 1))
    assert first == list(times(10, (20,), "poisson", 1))
    assert first != list(times(10, (20,), "poisson", 2))


def test_a_rate_of_nothing_brings_nothing() -> None:
    assert list(times(5, (0, 0), "poisson", 0)) == []
