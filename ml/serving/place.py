"""What a supervisor and its workers agree on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

BEAT: Final = b"."  # a worker is well; the first one: it serves
GRACE_SECONDS: Final = 25  # for what is under way, after SIGTERM; SageMaker kills after 30 s

Reason = Literal["died", "hung"]


@dataclass(frozen=True)
class Place:
    """What a worker is given."""

    number: int
    supervisor: int  # process
    listener: int  # file descriptor
    processors: tuple[int, ...] = ()  # that it may use; none: all
    channel: int = -1  # file descriptor, for beats
    replaces: Reason | None = None  # a worker that died, or hung

    def text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> Place:
        values: dict[str, Any] = json.loads(text)
        return cls(**{**values, "processors": tuple(values["processors"])})
