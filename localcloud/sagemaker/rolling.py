"""A rolling update: batch after batch, the new fleet grows, takes its share of the traffic, and the old one shrinks."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterable

from localcloud.sagemaker.fleet import Fleet
from localcloud.sagemaker.instance import StartError
from localcloud.sagemaker.rollout import Rollout

Share = Callable[[float], None]  # of requests that go to the new fleet


def roll(blue: Fleet, green: Fleet, rollout: Rollout, share: Share, closing: threading.Event) -> None:
    """Leave all of `green` running, and what is left of `blue`."""
    had, wanted = counts(blue), counts(green)
    for number, step in enumerate(rollout.shares):
        _set(green, {name: math.ceil(count * step) for name, count in wanted.items()})
        if number == 0:
            green.start()
        else:
            green.resize()
        share(step)
        rollout.bake(closing)
        if step < 1:  # what is left goes at the end of the update
            _set(blue, {name: math.ceil(count * (1 - step)) for name, count in had.items()})
            blue.resize()


def go_back(blue: Fleet, had: dict[str, int], shares: Iterable[float], share: Share) -> None:
    """Bring `blue` to as many instances as it had, in batches, each with its share of the traffic."""
    running = {name: blue.current_count(name) for name in had}
    for step in shares:
        _set(blue, {name: max(running[name], math.ceil(count * step)) for name, count in had.items()})
        with contextlib.suppress(StartError):  # the fleet goes on trying
            blue.resize()
        share(1 - step)


def counts(fleet: Fleet) -> dict[str, int]:
    return {variant.name: variant.desired_count for variant in fleet.variants.values()}


def _set(fleet: Fleet, counts: dict[str, int]) -> None:
    for name, count in counts.items():
        fleet.variants[name].desired_count = count
