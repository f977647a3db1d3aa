"""Refusals, with AWS's code and words."""

from __future__ import annotations


class Denied(Exception):
    """`code` is that of the query protocol; `wire.py` says it as the service does."""

    def __init__(self, message: str, code: str = "AccessDenied", status: int = 403) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status


def refusal(arn: str, action: str, resource: str, reason: str) -> Denied:
    return Denied(f"User: {arn} is not authorized to perform: {action} on resource: {resource}{reason}")


def unallowed(kind: str, action: str) -> str:
    return f" because no {kind} allows the {action} action"


def forbidden(kind: str) -> str:
    article = "an" if kind[0] in "aeiou" else "a"
    return f" with an explicit deny in {article} {kind}"
