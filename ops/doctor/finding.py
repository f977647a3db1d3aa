"""One line of the doctor's answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from ops.stage import Stage

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what to do about it."""

    name: str
    level: Level
    text: str
    remedy: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        return asdict(self)


Check = Callable[[Stage], Iterator[Finding]]
