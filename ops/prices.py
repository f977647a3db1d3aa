"""What AWS takes for what a stage uses: a dated table for each region.

`python -m ops.prices REGION…` renews it from AWS's public price lists, which are the matter of ops/price_lists.py.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ml.errors import KennelError

TABLE = Path(__file__).with_name("prices.json")
LIST = "https://aws.amazon.com/sagemaker/ai/pricing/"

Use = Literal["endpoint", "training", "transform", "processing", "notebook", "ec2"]


@cache
def table() -> dict[str, dict[str, Any]]:
    """Return the prices of each region: an hour of an instance by its use, and `unit` by name."""
    found: dict[str, dict[str, Any]] = json.loads(TABLE.read_text())
    return found


def as_of(region: str) -> str | None:
    """Return the date of the region's prices; None where the table has none."""
    return str(table()[region]["as_of"]) if region in table() else None


def source(region: str) -> str | None:
    """Return where the region's prices are from; None where the table has none."""
    return str(table()[region]["source"]) if region in table() else None


def note(region: str) -> str:
    """Return what has to be known of the region's prices; empty where the table has none."""
    return str(table().get(region, {}).get("note", ""))


def instance(use: Use, instance_type: str, region: str) -> float | None:
    """Return what an hour of the instance costs, on demand; None where the table does not have it."""
    price = table().get(region, {}).get(use, {}).get(instance_type)
    return None if price is None else float(price)


def unit(name: str, region: str) -> float | None:
    """Return the price of a unit, such as nat_gateway_hour; None where the table does not have it."""
    price = table().get(region, {}).get("unit", {}).get(name)
    return None if price is None else float(price)


def hourly_usd(instance_type: str, region: str = "us-east-1", use: Use = "endpoint") -> float:
    """Return what an hour of the instance costs, on demand.

    Raises:
        KennelError: the table does not have it.
    """
    if region not in table():
        raise KennelError(
            f"The price table has the regions {', '.join(sorted(table()))}.", region,
            f"Give the price with --price, or renew the table: python -m ops.prices {region}",
        )  # fmt: skip
    price = instance(use, instance_type, region)
    if price is None:
        raise KennelError(
            f"The price table of {region}, of {as_of(region)}, has the instance type.", instance_type,
            f"Give the price an hour with --price ({LIST}), or renew the table: python -m ops.prices {region}",
        )  # fmt: skip
    return price


if __name__ == "__main__":
    from ops import price_lists

    for name in sys.argv[1:] or sorted(table()):
        try:
            print(f"{name}: {price_lists.renew(name)} prices")
        except KennelError as error:
            sys.exit(str(error))
