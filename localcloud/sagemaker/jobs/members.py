"""Members of a request by their paths, and what becomes of those that nothing here carries out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from localcloud import accepted


def at(request: dict[str, Any], path: str) -> Any:
    value: Any = request
    for name in path.split("."):
        value = (value or {}).get(name)
    return value


def refuse(operation: str, request: dict[str, Any], paths: Iterable[str]) -> None:
    """Raise NotImplementedError where one of them is given."""
    for path in paths:
        if at(request, path):
            raise NotImplementedError(f"{operation} with {path}")


def warn(operation: str, request: dict[str, Any], paths: Iterable[str]) -> None:
    """Say of those that are given that they are taken, and no more."""
    for path in paths:
        if at(request, path):
            accepted.warn(f"{operation} with {path}")
