"""The error that the embedded cloud's own commands show to a person."""

from __future__ import annotations


class CloudError(Exception):
    """A rule was broken; says which, what was received instead, and what to do about it."""

    def __init__(self, rule: str, received: object = None, remedy: str | None = None) -> None:
        self.rule = rule
        self.received = received
        self.remedy = remedy
        lines = [rule]
        if received is not None:
            lines.append(f"Received: {received}")
        if remedy is not None:
            lines.append(f"Remedy: {remedy}")
        super().__init__("\n".join(lines))
