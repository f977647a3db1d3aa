"""Lists of jobs: filtered, sorted, by pages."""

from __future__ import annotations

import base64
import binascii
import operator
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from moto.sagemaker.exceptions import ValidationError

_PAGE = 10
_FILTERS: dict[str, tuple[str, Callable[[datetime, datetime], bool]]] = {
    "CreationTimeAfter": ("CreationTime", operator.gt),
    "CreationTimeBefore": ("CreationTime", operator.lt),
    "LastModifiedTimeAfter": ("LastModifiedTime", operator.gt),
    "LastModifiedTimeBefore": ("LastModifiedTime", operator.lt),
}


def select(
    entries: Iterable[dict[str, Any]],
    request: dict[str, Any],
    *,
    name: str,
    status: str,
    sort: dict[str, str],
) -> tuple[list[dict[str, Any]], str | None]:
    """One page of summaries, and the token of the next. `sort`: by what each SortBy sorts, the default first."""
    found = list(entries)
    if request.get("NameContains"):
        found = [entry for entry in found if request["NameContains"] in entry[name]]
    if request.get("StatusEquals"):
        found = [entry for entry in found if entry[status] == request["StatusEquals"]]
    for parameter, (field, holds) in _FILTERS.items():
        if request.get(parameter) is not None:
            time = _naive(request[parameter])
            found = [entry for entry in found if holds(entry[field], time)]
    by = sort[request.get("SortBy") or next(iter(sort))]
    found = [entry for entry in found if by in entry]  # trials without a value are not listed by it
    found.sort(key=lambda entry: (entry[by], entry[name]), reverse=request.get("SortOrder") == "Descending")
    return page(found, request)


def page(entries: list[dict[str, Any]], request: dict[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
    start = _offset(request.get("NextToken"))
    stop = start + int(request.get("MaxResults") or _PAGE)
    token = base64.urlsafe_b64encode(f"from {stop}".encode()).decode() if stop < len(entries) else None
    return entries[start:stop], token


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    try:
        word, number = base64.urlsafe_b64decode(token.encode()).decode().split()
        if word == "from":
            return int(number)
    except (ValueError, binascii.Error):
        pass
    raise ValidationError("Invalid pagination token")


def _naive(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time
