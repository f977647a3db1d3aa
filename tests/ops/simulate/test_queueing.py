from __future__ import annotations

import math

import numpy as np
import pytest

from ops.simulate import queueing


@pytest.mark.parametrize("load", [0.1, 0.5, 0.8, 0.95])
def test_the_wait_at_one_instance_is_that_of_an_m_d_1_queue(load: float) -> None:
    """Pollaczek and Khinchine: ρ / (2 (1 - ρ)) service times."""
    probability, mean = queueing.waits([load * 20], [1], 20)
    assert float(probability[0] * mean[0]) == pytest.approx(load / (2 * (1 - load)) / 20)
    assert queueing.wait(load * 20, 1, 20) == pytest.approx(float(probability[0] * mean[0]))


@pytest.mark.parametrize(("count", "load"), [(2, 0.7), (4, 0.8), (10, 0.9)])
def test_the_wait_at_several_instances_is_near_half_of_erlangs(count: int, load: float) -> None:
    """Erlang C gives M/M/n exactly; equal work takes about half of it."""
    offered = count * load
    terms = [offered**i / math.factorial(i) for i in range(count)]
    last = offered**count / math.factorial(count) / (1 - load)
    exact = last / (sum(terms) + last) / (count * (1 - load))  # service times
    assert queueing.wait(offered, count, 1.0) == pytest.approx(exact / 2, rel=0.12)


def test_a_quantile_is_where_that_share_of_the_requests_is_faster() -> None:
    weights, fixed = np.array([90.0, 10.0]), np.array([0.05, 2.0])
    probability, mean = np.array([0.2, 0.5]), np.array([0.1, 0.3])
    for share in (0.5, 0.85, 0.9, 0.95, 0.99):
        time = queueing.quantile(share, weights, fixed, probability, mean)
        slower = float((weights * queueing.beyond(time + 1e-6, fixed, probability, mean)).sum()) / 100
        assert slower <= 1 - share + 1e-4
    assert queueing.quantile(0.99, np.zeros(2), fixed, probability, mean) == 0.0
