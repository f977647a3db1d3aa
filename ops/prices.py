"""What an instance behind an endpoint costs: a dated table, renewed by `python -m ops.prices` from AWS's price list."""

from __future__ import annotations

import json
import math
import sys
import urllib.request
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from ml.errors import KennelError
from ops import files

TABLE = Path(__file__).with_name("prices.json")
OFFERS = "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonSageMaker/current/{region}/index.json"
LIST = "https://aws.amazon.com/sagemaker/ai/pricing/"


@cache
def table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(TABLE.read_text())
    return found


def hourly_usd(instance_type: str, region: str = "us-east-1") -> float:
    """Return what an hour of the instance costs, on demand, serving an endpoint.

    Raises:
        KennelError: the table does not have it.
    """
    regions = table()["hourly_usd"]
    if region not in regions:
        raise KennelError(
            f"The price table has the regions {', '.join(sorted(regions))}.", region,
            f"Give the price with --price, or renew the table: python -m ops.prices {region}",
        )  # fmt: skip
    if instance_type not in regions[region]:
        raise KennelError(
            f"The price table of {region}, of {table()['as_of']}, has the instance type.", instance_type,
            f"Give the price an hour with --price ({LIST}), or add it to ops/prices.json.",
        )  # fmt: skip
    return float(regions[region][instance_type])


def of_offers(offers: dict[str, Any]) -> dict[str, float]:
    """Return the hosting prices of AWS's price list of SageMaker in one region."""
    found: dict[str, float] = {}
    for sku, product in offers["products"].items():
        usage = product["attributes"].get("usagetype", "").rpartition("Host:")
        if not usage[1] or not usage[2].startswith("ml."):
            continue
        for term in offers["terms"]["OnDemand"].get(sku, {}).values():
            for dimension in term["priceDimensions"].values():
                price = float(dimension["pricePerUnit"].get("USD", "nan"))
                if dimension["unit"] in {"Hrs", "Hour"} and math.isfinite(price) and price > 0:
                    found[usage[2]] = price
    return found


def renew(region: str) -> int:
    """Fetch AWS's public price list of the region into the table; return how many prices it has."""
    with urllib.request.urlopen(OFFERS.format(region=region), timeout=120) as answer:  # noqa: S310 - https, fixed
        found = of_offers(json.load(answer))
    if not found:
        raise KennelError("AWS's price list has prices of hosting.", f"none for {region}", f"See {LIST}.")
    fresh = json.loads(TABLE.read_text())
    fresh["hourly_usd"][region] = dict(sorted(found.items()))
    fresh |= {
        "as_of": f"{datetime.now(UTC):%Y-%m-%d}",
        "source": OFFERS,
        "note": "Real-time inference, on demand, US dollars an hour.",
    }
    files.write_json(TABLE, fresh)
    return len(found)


if __name__ == "__main__":
    for name in sys.argv[1:] or ["us-east-1"]:
        print(f"{name}: {renew(name)} prices")
