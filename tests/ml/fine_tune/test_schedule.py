from __future__ import annotations

import pytest

from ml.fine_tune.schedule import factor


def test_the_rate_rises_in_a_line_and_falls_as_a_cosine() -> None:
    rates = [factor(step, warmup=4, total=12) for step in range(12)]
    assert rates[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates[8] == pytest.approx(0.5)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert 0 < rates[-1] < 0.05


@pytest.mark.parametrize(("warmup", "total"), [(0, 5), (5, 5), (9, 5), (0, 1)])
def test_every_step_learns_at_some_rate_whatever_the_lengths(warmup: int, total: int) -> None:
    assert all(0 < factor(step, warmup=warmup, total=total) <= 1 for step in range(total))
