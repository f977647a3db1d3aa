"""Picks out of AWS's public price lists what the price table holds.

The lists are CSV files, one a service and region, read line by line: EC2's has hundreds of megabytes. A line's usage
type, such as USE1-Host:ml.m5.large, tells what it is the price of: the region's short name, what for, the instance.
"""

from __future__ import annotations

import csv
import http.client
import io
import json
import math
import re
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from ml.errors import KennelError
from ops import files
from ops.prices import TABLE, table

ADDRESS = "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/{offer}/current/{region}/index.csv"
NOTE = "On demand."
_REGION = r"(?:[A-Z]{2,4}\d?-|[a-z]{2}(?:-[a-z]+)+-\d-)?"  # USE1-, EU-, eu-west-1-, or none in us-east-1
_TIMEOUT = 120  # seconds for the next piece of a list


@dataclass(frozen=True)
class Rule:
    """Which lines of a list are the price of what."""

    section: str  # of the table
    usage: str  # a pattern; its group is the instance type, where `name` is not given
    name: str | None = None
    operation: str | None = None

    def key(self, row: dict[str, str]) -> tuple[str, str] | None:
        """Return where in the table the line belongs; None where it does not."""
        found = re.fullmatch(_REGION + self.usage, row.get("usageType", ""))
        if not found or self.operation not in (None, row.get("operation")):
            return None
        return self.section, self.name or found[1]


def _unit(name: str, usage: str) -> Rule:
    return Rule("unit", usage, name)


LISTS: dict[str, tuple[Rule, ...]] = {
    "AmazonSageMaker": (
        Rule("endpoint", r"Host:(ml\.[\w.-]+)"),
        Rule("training", r"Train:(ml\.[\w.-]+)"),
        Rule("transform", r"Tsform:(ml\.[\w.-]+)"),
        Rule("processing", r"Processing:(ml\.[\w.-]+)"),
        Rule("notebook", r"Notebk:(ml\.[\w.-]+)"),
        _unit("notebook_gb_month", r"Notebk:VolumeUsage\.gp[23]"),
        _unit("endpoint_gb_month", r"Host:VolumeUsage\.gp[23]"),
    ),
    "AmazonEC2": (
        Rule("ec2", r"BoxUsage:([\w.-]+)", operation="RunInstances"),  # Linux; Windows has a number behind it
        _unit("nat_gateway_hour", r"NatGateway-Hours"),
        _unit("nat_gateway_gb", r"NatGateway-Bytes"),
        _unit("ebs_gp3_gb_month", r"EBS:VolumeUsage\.gp3"),
        _unit("ebs_gp2_gb_month", r"EBS:VolumeUsage\.gp2"),
    ),
    "AmazonVPC": (
        _unit("interface_endpoint_hour", r"VpcEndpoint-Hours"),
        _unit("interface_endpoint_gb", r"VpcEndpoint-Bytes"),
        _unit("public_ipv4_hour", r"PublicIPv4:InUseAddress"),
    ),
    "AWSLambda": (
        _unit("lambda_request", r"Request"),
        _unit("lambda_gb_second_x86_64", r"Lambda-GB-Second"),
        _unit("lambda_gb_second_arm64", r"Lambda-GB-Second-ARM"),
        _unit("provisioned_gb_second_x86_64", r"Lambda-Provisioned-Concurrency"),
        _unit("provisioned_gb_second_arm64", r"Lambda-Provisioned-Concurrency-ARM"),
    ),
    "AmazonCloudWatch": (
        _unit("alarm_month", r"CW:AlarmMonitorUsage"),
        _unit("alarm_high_resolution_month", r"CW:HighResAlarmMonitorUsage"),
        _unit("dashboard_month", r"DashboardsUsageHour"),
        _unit("log_gb", r"DataProcessing-Bytes"),
        _unit("log_stored_gb_month", r"TimedStorage-ByteHrs"),
    ),
    "awskms": (_unit("kms_key_month", r"KMS-Keys"),),
    "AmazonS3": (_unit("s3_gb_month", r"TimedStorage-ByteHrs"),),
    "AmazonECR": (_unit("ecr_gb_month", r"TimedStorage-ByteHrs"),),
}

Table = dict[str, dict[str, float]]
Fetch = Callable[[str], AbstractContextManager[Iterable[str]]]  # an address's lines


def picked(lines: Iterable[str], rules: Iterable[Rule]) -> tuple[Table, str]:
    """Return the prices that the rules pick out of a list, and the list's own date.

    Of what is cheaper the more is used, or free at first, the first step that costs anything counts.
    """
    chosen, published = tuple(rules), ""
    found: dict[tuple[str, str], tuple[float, float]] = {}  # start of the step, price
    reader, columns = csv.reader(lines), list[str]()
    for row in reader:  # what comes before the names of the columns: version, date
        if row[:1] == ["Publication Date"]:
            published = row[1][:10]
        if row[:1] == ["SKU"]:
            columns = row
            break
    for row in reader:
        entry = dict(zip(columns, row, strict=False))
        if entry.get("TermType") != "OnDemand" or entry.get("Currency") != "USD":
            continue
        price = float(entry.get("PricePerUnit") or "nan")
        if not (math.isfinite(price) and price > 0):
            continue
        start = float(entry.get("StartingRange") or 0)
        for key in filter(None, (rule.key(entry) for rule in chosen)):
            if key not in found or start < found[key][0]:
                found[key] = start, price
    prices: Table = {}
    for (section, name), (_, price) in sorted(found.items()):
        prices.setdefault(section, {})[name] = price
    return prices, published


@contextmanager
def fetched(address: str) -> Iterator[Iterable[str]]:
    """Open a list; its lines come as they are asked for."""
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer:  # noqa: S310 - https, fixed
            yield io.TextIOWrapper(answer, encoding="utf-8", newline="")
    except (OSError, http.client.HTTPException) as error:
        raise KennelError(
            "AWS's price lists can be fetched.", f"{address}: {error}",
            "Mind the region's name, and whether this machine reaches the internet; the table stays as it was.",
        ) from error  # fmt: skip


def renew(region: str, fetch: Fetch = fetched) -> int:
    """Put the region's prices into the table, once all lists have been read; return how many there are.

    Raises:
        KennelError: a list cannot be fetched, or has nothing of what is looked for.
    """
    fresh: dict[str, dict[str, float]] = {}
    dates: list[str] = []
    for offer, rules in LISTS.items():
        address = ADDRESS.format(offer=offer, region=region)
        with fetch(address) as lines:
            prices, published = picked(lines, rules)
        if not prices:
            raise KennelError(
                f"AWS's price list of {offer} has prices of {region}.", f"none in {address}",
                "Mind the region's name. Where the list has other names now, ops/price_lists.py has to follow.",
            )  # fmt: skip
        dates.append(published)
        for section, entries in prices.items():
            fresh.setdefault(section, {}).update(entries)
    source = ADDRESS.format(offer="{list}", region=region)
    regions = json.loads(TABLE.read_text())
    regions[region] = {"as_of": min(dates), "source": source, "note": NOTE, **fresh}
    files.write_json(TABLE, dict(sorted(regions.items())))
    table.cache_clear()
    return sum(len(entries) for entries in fresh.values())
