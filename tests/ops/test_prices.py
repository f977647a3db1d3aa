from __future__ import annotations

import http.client
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ml.errors import KennelError
from ops import price_lists, prices
from ops.paths import ROOT, TERRAFORM
from ops.simulate.declared import of_variables

# A list as AWS publishes it: a few lines of itself, the columns, and a line for every step of every price.
HEAD = """"FormatVersion","v1.0"
"Disclaimer","This pricing list is for informational purposes only."
"Publication Date","2026-09-24T23:59:59Z"
"Version","20260924235959"
"OfferCode","{offer}"
"SKU","OfferTermCode","TermType","StartingRange","Unit","PricePerUnit","Currency","usageType","operation"
"""
LINES = {
    "AmazonSageMaker": [
        ("OnDemand", "0", "Hrs", "0.1150000000", "USE1-Host:ml.m5.large", "RunInstance"),
        ("OnDemand", "0", "Hrs", "0.2300000000", "USE1-Train:ml.m5.xlarge", "RunInstance"),
        ("OnDemand", "0", "Hrs", "0.0500000000", "USE1-Notebk:ml.t3.medium", "RunInstance"),
        ("OnDemand", "0", "Hrs", "0.2300000000", "USE1-Tsform:ml.m5.xlarge", "RunInstance"),
        ("OnDemand", "0", "GB-Mo", "0.1400000000", "USE1-Notebk:VolumeUsage.gp2", "Volume"),
        ("OnDemand", "0", "Hrs", "0.0500000000", "USE1-Studio:JupyterLab-ml.t3.medium", "RunInstance"),
    ],
    "AmazonEC2": [
        ("OnDemand", "0", "Hrs", "0.0960000000", "BoxUsage:m5.large", "RunInstances"),
        ("OnDemand", "0", "Hrs", "0.1880000000", "BoxUsage:m5.large", "RunInstances:0002"),
        ("Reserved", "0", "Hrs", "0.0600000000", "BoxUsage:m5.large", "RunInstances"),
        ("OnDemand", "0", "Hrs", "0.0450000000", "NatGateway-Hours", "NatGateway"),
    ],
    "AmazonVPC": [("OnDemand", "0", "Hrs", "0.0100000000", "USE1-VpcEndpoint-Hours", "VpcEndpoint")],
    "AWSLambda": [
        ("OnDemand", "6000000000", "Lambda-GB-Second", "0.0000150000", "Lambda-GB-Second", ""),
        ("OnDemand", "0", "Lambda-GB-Second", "0.0000166667", "Lambda-GB-Second", ""),
    ],
    "AmazonCloudWatch": [
        ("OnDemand", "0", "Alarms", "0.1000000000", "CW:AlarmMonitorUsage", ""),
        ("OnDemand", "0", "Dashboards", "0.0000000000", "DashboardsUsageHour", ""),
        ("OnDemand", "3", "Dashboards", "3.0000000000", "DashboardsUsageHour", ""),
    ],
    "awskms": [("OnDemand", "0", "Keys", "1.0000000000", "us-east-1-KMS-Keys", "")],
    "AmazonS3": [("OnDemand", "0", "GB-Mo", "0.0230000000", "TimedStorage-ByteHrs", "")],
    "AmazonECR": [("OnDemand", "0", "GB-Mo", "0.1000000000", "TimedStorage-ByteHrs", "")],
}


@contextmanager
def published(address: str) -> Iterator[Iterable[str]]:
    offer = address.split("/")[6]
    yield [
        *HEAD.format(offer=offer).splitlines(keepends=True),
        *(
            f'"S{number}","JRTCKXETXF","{term}","{start}","{unit}","{price}","USD","{usage}","{operation}"\n'
            for number, (term, start, unit, price, usage, operation) in enumerate(LINES[offer])
        ),
    ]


@pytest.fixture
def table_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A price table of the test's own, with one region in it."""
    file = tmp_path / "prices.json"
    file.write_text(json.dumps({"eu-west-1": {"as_of": "2026-01-01", "source": "https://x"}}))
    for module in (prices, price_lists):
        monkeypatch.setattr(module, "TABLE", file)
    prices.table.cache_clear()
    yield file
    prices.table.cache_clear()


def test_the_table_is_dated_and_names_its_source() -> None:
    for region in prices.table():
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", prices.as_of(region) or "")
        assert (prices.source(region) or "").startswith("https://")


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_the_instances_of_the_stages_have_a_price(stage: str) -> None:
    kind = of_variables(TERRAFORM / "stages" / f"{stage}.tfvars", "").instance_type
    assert kind is not None
    assert prices.hourly_usd(kind) > 0


@pytest.mark.parametrize(
    ("use", "prefix"), [("endpoint", "ml."), ("training", "ml."), ("notebook", "ml."), ("ec2", "")]
)
def test_an_instance_twice_as_large_costs_about_twice_as_much(use: str, prefix: str) -> None:
    table = prices.table()["us-east-1"][use]
    for family in ("m5", "c5"):
        smaller = table[f"{prefix}{family}.xlarge"]
        assert table[f"{prefix}{family}.2xlarge"] == pytest.approx(2 * smaller, rel=0.02)


def test_a_price_that_is_not_there_is_told_with_what_to_do() -> None:
    with pytest.raises(
        KennelError, match=r"has the instance type\.\nReceived: ml.x9.large\nRemedy: .*--price"
    ):
        prices.hourly_usd("ml.x9.large")
    with pytest.raises(KennelError, match=r"Received: eu-west-9\nRemedy: .*python -m ops.prices eu-west-9"):
        prices.hourly_usd("ml.m5.large", "eu-west-9")
    assert prices.instance("ec2", "x9.large", "us-east-1") is None
    assert prices.unit("nat_gateway_hour", "eu-west-9") is None


def test_what_the_table_needs_is_picked_out_of_the_price_lists(table_file: Path) -> None:
    assert price_lists.renew("us-east-1", published) == 14
    fresh = json.loads(table_file.read_text())
    assert fresh.pop("eu-west-1")["as_of"] == "2026-01-01"  # as it was
    assert fresh["us-east-1"] | {"note": ""} == {
        "as_of": "2026-09-24",
        "source": "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/{list}/current/us-east-1/index.csv",
        "note": "",
        "endpoint": {"ml.m5.large": 0.115},
        "training": {"ml.m5.xlarge": 0.23},
        "transform": {"ml.m5.xlarge": 0.23},
        "notebook": {"ml.t3.medium": 0.05},
        "ec2": {"m5.large": 0.096},  # neither Windows nor reserved
        "unit": {
            "notebook_gb_month": 0.14, "nat_gateway_hour": 0.045, "interface_endpoint_hour": 0.01,
            "lambda_gb_second_x86_64": 0.0000166667, "alarm_month": 0.1, "dashboard_month": 3.0,
            "kms_key_month": 1.0, "s3_gb_month": 0.023, "ecr_gb_month": 0.1,
        },
    }  # fmt: skip
    assert prices.unit("dashboard_month", "us-east-1") == 3


def test_a_list_without_what_is_looked_for_leaves_the_table_as_it_was(table_file: Path) -> None:
    @contextmanager
    def empty(address: str) -> Iterator[Iterable[str]]:
        yield HEAD.format(offer="x").splitlines(keepends=True)

    before = table_file.read_text()
    with pytest.raises(KennelError, match=r"price list of AmazonSageMaker has prices of mars-1"):
        price_lists.renew("mars-1", empty)
    assert table_file.read_text() == before


def test_an_answer_without_a_line_has_no_prices() -> None:
    assert price_lists.picked([], price_lists.LISTS["AmazonEC2"]) == ({}, "")


def test_a_list_that_breaks_off_is_told_and_leaves_the_table_as_it_was(
    table_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class BrokenOff(io.BytesIO):
        def read(self, _: int | None = -1) -> bytes:
            raise http.client.IncompleteRead(b"")

        read1 = read

    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: BrokenOff())
    before = table_file.read_text()
    with pytest.raises(
        KennelError, match=r"AWS's price lists can be fetched\.\nReceived: https://.*IncompleteRead"
    ):
        price_lists.renew("us-east-1")
    assert table_file.read_text() == before


def test_the_command_that_renews_the_table_fails_with_words_and_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops.prices", "mars-1"],
        cwd=ROOT, env=os.environ | {"https_proxy": "http://127.0.0.1:9", "no_proxy": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("AWS's price lists can be fetched.\nReceived: https://")
    assert "Remedy: Mind the region's name" in done.stderr


@pytest.mark.parametrize("usage", ["EU-Host:ml.m5.large", "EUC1-Host:ml.m5.large", "Host:ml.m5.large"])
def test_each_region_has_a_short_name_of_its_own_in_the_lists(usage: str) -> None:
    rule = price_lists.LISTS["AmazonSageMaker"][0]
    assert rule.key({"usageType": usage}) == ("endpoint", "ml.m5.large")
    assert rule.key({"usageType": f"x{usage}"}) is None
