from __future__ import annotations

import re

import pytest

from ml.errors import KennelError
from ops import prices
from ops.paths import TERRAFORM
from ops.simulate.declared import of_variables


def test_the_table_is_dated_and_names_its_source() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", prices.table()["as_of"])
    assert prices.table()["source"].startswith("https://")


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_the_instances_of_the_stages_have_a_price(stage: str) -> None:
    kind = of_variables(TERRAFORM / "stages" / f"{stage}.tfvars", "").instance_type
    assert kind is not None
    assert prices.hourly_usd(kind) > 0


def test_an_instance_twice_as_large_costs_about_twice_as_much() -> None:
    table = prices.table()["hourly_usd"]["us-east-1"]
    for family in ("t2", "m5", "c5", "c6i", "c7i"):
        assert table[f"ml.{family}.2xlarge"] == pytest.approx(2 * table[f"ml.{family}.xlarge"], rel=0.02)


def test_a_price_that_is_not_there_is_told_with_what_to_do() -> None:
    with pytest.raises(
        KennelError, match=r"has the instance type\.\nReceived: ml.x9.large\nRemedy: .*--price"
    ):
        prices.hourly_usd("ml.x9.large")
    with pytest.raises(KennelError, match=r"Received: eu-west-9\nRemedy: .*python -m ops.prices eu-west-9"):
        prices.hourly_usd("ml.m5.large", "eu-west-9")


def test_hosting_prices_are_picked_out_of_the_price_list() -> None:
    def product(usage: str) -> dict[str, dict[str, str]]:
        return {"attributes": {"usagetype": usage}}

    def term(unit: str, price: str) -> dict[str, dict[str, object]]:
        return {"t": {"priceDimensions": {"d": {"unit": unit, "pricePerUnit": {"USD": price}}}}}

    offers = {
        "products": {
            "A": product("USE1-Host:ml.m5.large"), "B": product("USE1-Train:ml.m5.large"),
            "C": product("USE1-Host:ml.c5.large"), "D": product("USE1-Host:VolumeUsage.gp2"),
            "E": product("Host:ml.g5.xlarge"), "F": product("USE1-Host:ml.m5.xlarge"),
        },
        "terms": {
            "OnDemand": {
                "A": term("Hrs", "0.1150000000"), "B": term("Hrs", "0.2"), "C": term("Hrs", "0.0000000000"),
                "D": term("GB-Mo", "0.1"), "E": term("Hrs", "1.408"),
            }
        },
    }  # fmt: skip
    assert prices.of_offers(offers) == {"ml.m5.large": 0.115, "ml.g5.xlarge": 1.408}
