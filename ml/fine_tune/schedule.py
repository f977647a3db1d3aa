"""How fast to learn at which step."""

from __future__ import annotations

import math


def factor(step: int, *, warmup: int, total: int) -> float:
    """Of the learning rate at a step (from 0): up in a straight line, then down as half a cosine."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
