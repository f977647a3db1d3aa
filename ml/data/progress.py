"""Progress bars: on stderr, and only where a person is watching."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def bar(items: Iterable[T], *, title: str, unit: str, show: bool, total: int | None = None) -> Iterator[T]:
    # disable=None: tqdm turns itself off where stderr is not a terminal.
    yield from tqdm(
        items, desc=title, total=total, unit=unit, file=sys.stderr, disable=None if show else True
    )
