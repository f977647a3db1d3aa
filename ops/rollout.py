"""How an update moves traffic from the old fleet to the new one, where a command says so and not the stage."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ml.errors import KennelError

RANGES = {"CANARY": (1, 50), "LINEAR": (10, 50)}  # percent that SageMaker takes


@dataclass(frozen=True)
class Rollout:
    """Terraform's variable `rollout`."""

    routing: str  # ALL_AT_ONCE, CANARY or LINEAR
    percent: int | None = None

    @classmethod
    def chosen(cls, *, canary: object = None, linear: object = None, at_once: bool = False) -> Rollout | None:
        """Return what the flags of a command say; None where they say nothing.

        Raises:
            KennelError: they exclude each other, or the share is none.
        """
        if sum([canary is not None, linear is not None, at_once]) > 1:
            raise KennelError("--canary, --linear and --all-at-once exclude each other.", None, "Choose one.")
        if at_once:
            return cls("ALL_AT_ONCE")
        for flag, value in (("canary", canary), ("linear", linear)):
            if value is not None:
                return cls(flag.upper(), _percent(flag, value))
        return None

    def to_variable(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        words = self.routing.replace("_", " ").lower()
        return f"{words} {self.percent} %" if self.percent is not None else words


def _percent(flag: str, value: object) -> int:
    low, high = RANGES[flag.upper()]
    text = str(value).removesuffix("%").strip()
    if not text.isdecimal() or not low <= int(text) <= high:
        what = "the share of the new fleet that takes traffic first" if flag == "canary" else "each step"
        raise KennelError(
            f"--{flag} is {what}, a whole number of percent from {low} to {high}.",
            value,
            f"Such as --{flag} {max(low, 10)}; --all-at-once moves everything in one step.",
        )
    return int(text)
