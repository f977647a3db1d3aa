"""How long requests wait, and so how long they take.

Random arrivals at n equal instances that share one queue and take the same time for each request: M/D/n, by
Sakasegawa's approximation, with ca² = 1 (arrivals at random) and cs² = 0 (equal work):

    W = (ca² + cs²) / 2 · ρ^(√(2(n+1)) - 1) / (n (1 - ρ)) · τ

H. Sakasegawa, "An approximation formula L_q ≈ α·ρ^β/(1-ρ)", Annals of the Institute of Statistical Mathematics 29
(1977); in this form in W. Hopp and M. Spearman, "Factory Physics". Where more comes than is served, the backlog adds
what it takes to work it off. Of those that wait, ρ^(√(2(n+1)) - 1) of all, the waits are taken as exponential.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

FORMULA = "M/D/n by Sakasegawa (1977), plus the backlog of overload"
_HIGHEST = 0.98  # utilization: beyond, a stationary queue is never reached within a step


def waits(rates: Any, instances: Any, capacity: float) -> tuple[Numbers, Numbers]:
    """Return the probability of waiting, and the mean wait of those that wait, in seconds."""
    count = np.maximum(np.asarray(instances, float), 1.0)
    load = np.minimum(np.asarray(rates, float) / (count * capacity), _HIGHEST)
    probability = np.power(load, np.sqrt(2 * (count + 1)) - 1)
    return probability, 0.5 / (count * capacity * (1 - load))


def wait(rate: float, instances: int, capacity: float) -> float:
    """Return the mean wait of all requests at one moment, in seconds."""
    load = min(rate / (instances * capacity), _HIGHEST)
    probability = math.pow(load, math.sqrt(2 * (instances + 1)) - 1)
    return probability * 0.5 / (instances * capacity * (1 - load))


def beyond(seconds: float, fixed: Numbers, probability: Numbers, mean: Numbers) -> Numbers:
    """Return the probability that a request takes longer, `fixed` being what each of them takes anyway."""
    over = seconds - fixed
    return np.where(over < 0, 1.0, probability * np.exp(-np.maximum(over, 0.0) / mean))


def quantile(share: float, weights: Numbers, fixed: Numbers, probability: Numbers, mean: Numbers) -> float:
    """Return the time that this share of all requests stays below."""
    total = float(weights.sum())
    if total <= 0:
        return 0.0
    low, high = 0.0, float((fixed + 20 * mean).max())
    for _ in range(40):
        middle = (low + high) / 2
        if float((weights * beyond(middle, fixed, probability, mean)).sum()) > (1 - share) * total:
            low = middle
        else:
            high = middle
    return high
