"""Callers that never pause, for tests of what they must not notice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Callers:
    """So many at a time that make one call after another until the block ends, and none a second time.

    A call that raises is kept in `errors`.
    """

    def __init__(self, call: Callable[[], object], number: int) -> None:
        self.answered = 0
        self.errors: list[str] = []
        self._call = call
        self._number = number
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(number)

    def __enter__(self) -> Callers:
        for _ in range(self._number):
            self._pool.submit(self._go_on_calling)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._pool.shutdown()

    def _go_on_calling(self) -> None:
        while not self._stopping.is_set():
            try:
                self._call()
                self.answered += 1
            except Exception as error:  # the test looks at them
                self.errors.append(repr(error))
