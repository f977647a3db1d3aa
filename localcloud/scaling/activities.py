"""What a scalable target did, or did not do and why, as its history shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["InProgress", "Successful", "Failed"]


@dataclass(frozen=True)
class Reason:
    """Why an alarm that asked for scaling got none."""

    code: str
    capacity: int | None = None
    minimum: int | None = None
    maximum: int | None = None

    def to_dict(self) -> dict[str, str | int]:
        values = {"CurrentCapacity": self.capacity, "MinCapacity": self.minimum, "MaxCapacity": self.maximum}
        return {"Code": self.code, **{name: value for name, value in values.items() if value is not None}}


@dataclass
class Activity:
    id: str
    cause: str
    description: str
    before: int  # instances
    after: int
    started: float
    status: Status
    message: str = ""
    ended: float | None = None
    policy: str | None = None
    reasons: tuple[Reason, ...] = ()  # for not having scaled
