"""What things cost by the hour as long as they are there: pieces that a plan's bill and the live stage's are made of.

A price that the table does not have is None, and a sum with it is None, too: not known is never nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ops import prices
from ops.prices import Use

HOURS = 730  # of a month: 365 days × 24 hours / 12


@dataclass(frozen=True)
class Cost:
    """Something that costs, US dollars an hour."""

    what: str  # what it is for, such as "endpoint"
    detail: str  # what it is, such as "2 × ml.m5.large"
    hourly: float | None  # None: the table does not have its price
    most: float | None  # at maximal capacity
    update: float | None = 0.0  # besides, at most, while an update runs two fleets
    note: str = ""


def instances(
    what: str, use: Use, kind: str, count: float, region: str,
    *, most: float | None = None, update: float = 0, note: str = "",
) -> Cost:  # fmt: skip
    """Return what so many instances cost; `most` and `update` count instances, too."""
    price = prices.instance(use, kind, region)
    most = count if most is None else most
    return Cost(
        what, f"{count:g} × {kind}", times(price, count), times(price, most), times(price, update), note
    )


def fixed(what: str, detail: str, unit: str, count: float, region: str, *, note: str = "") -> Cost:
    """Return what so many units cost, whose price is by the hour, month or second as the unit's name says."""
    price = prices.unit(unit, region)
    if price is not None:
        price = price / HOURS if unit.endswith("_month") else price
        price = price * 3600 if "_second_" in unit else price
    hourly = times(price, count)
    return Cost(what, detail, hourly, hourly, note=note)


def times(price: float | None, count: float) -> float | None:
    """Return the product; nothing of something unknown costs nothing."""
    if count == 0:
        return 0.0
    return None if price is None else price * count


def total(values: Iterable[float | None]) -> float | None:
    """Return the sum; None where one is not known."""
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) if len(known) == len(found) else None


def usd(value: float | None) -> str:
    """Return an amount for a person: with cents, or with three digits where it is less than ten of them."""
    if value is None:
        return "unknown"
    if value and abs(value) < 0.1:
        return f"${value:.{2 - math.floor(math.log10(abs(value)))}f}".rstrip("0")
    return f"${value:,.2f}"


def rate(unit: str, region: str, count: int = 1) -> str:
    """Return for a person what so many units cost."""
    price = prices.unit(unit, region)
    return "at a price not known" if price is None else usd(price * count)
