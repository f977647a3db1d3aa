"""What happens by itself in the cloud, every ten seconds of the clock: measuring, alarms, scaling."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from localcloud import clock
from localcloud.metrics import FINE

log = logging.getLogger(__name__)

_MOST_BEHIND = 30  # beats made up for after the machine was held up

Beat = Callable[[float], None]  # with the clock's time
_beats: list[Beat] = []
_started = threading.Lock()


def every_ten_seconds(beat: Beat) -> None:
    """In the order in which they were named here."""
    if beat not in _beats:
        _beats.append(beat)


def start() -> None:
    if _started.acquire(blocking=False):
        threading.Thread(target=_run, name="heartbeat", daemon=True).start()


def _run() -> None:
    number = int(clock.current().now() // FINE)
    while True:
        number = max(number, int(clock.current().now() // FINE) - _MOST_BEHIND) + 1
        wait = clock.current().real(number * FINE) - time.time()
        if wait > 0:
            time.sleep(wait)
        for beat in _beats:
            try:
                beat(float(number * FINE))
            except Exception:
                log.exception("%s failed", beat)
