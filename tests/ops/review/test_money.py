from __future__ import annotations

from typing import Any

import pytest

from ops import prices
from ops.fleet import Fleet
from ops.review import money
from ops.review.facts import Bill, Facts

CONFIG = "module.endpoint[0].aws_sagemaker_endpoint_configuration.this"
DASHBOARD = {
    "address": "aws_cloudwatch_dashboard.this[0]",
    "type": "aws_cloudwatch_dashboard",
    "name": "this",
}


def module(kind: str, count: int, *more: dict[str, Any], most: int = 4) -> dict[str, Any]:
    values = {"production_variants": [{"instance_type": kind, "initial_instance_count": count}]}
    limits = {"service_namespace": "sagemaker", "min_capacity": 1, "max_capacity": most}
    entries = [
        {
            "address": CONFIG,
            "type": "aws_sagemaker_endpoint_configuration",
            "name": "this",
            "values": values,
        },
        {
            "address": "aws_appautoscaling_target.this",
            "type": "aws_appautoscaling_target",
            "name": "this",
            "values": limits,
        },
        {
            "address": "aws_sagemaker_endpoint.this",
            "type": "aws_sagemaker_endpoint",
            "name": "this",
            "values": {},
        },
        *more,
    ]
    return {"child_modules": [{"address": "module.endpoint[0]", "resources": entries}]}


def bill(
    before: dict[str, Any],
    after: dict[str, Any],
    *actions: str,
    wanted: int | None = None,
    region: str = "us-east-1",
) -> Bill:
    plan = {
        "prior_state": {"values": {"root_module": before}},
        "planned_values": {"root_module": after},
        "resource_changes": [
            {
                "address": CONFIG,
                "type": "aws_sagemaker_endpoint_configuration",
                "change": {"actions": list(actions)},
            }
        ],
    }
    fleet = Fleet("kennel-dev", "c", "InService", None, wanted, "ml.m5.large") if wanted else None
    found = money.of(Facts("dev", region, plan, fleet))
    assert found is not None
    return found


def test_without_a_plan_there_is_no_bill() -> None:
    assert money.of(Facts("dev", "us-east-1", {})) is None


def test_the_bill_has_the_month_before_and_after_and_the_worst_one() -> None:
    found = bill({}, module("ml.m5.large", 2, DASHBOARD), "create")
    assert found.before == 0
    assert found.after == pytest.approx(2 * 0.115 * 730 + 3)
    assert found.worst == pytest.approx(4 * 0.115 * 730 + 3)
    assert found.as_of
    assert found.source.startswith("https://")
    assert [line.name for line in found.lines] == ["endpoint", "dashboard"]
    assert found.lines[0].note == "2 × ml.m5.large; between 1 and 4 by its use"
    assert found.notes[:2] == ("A month has 730 hours here.", prices.note("us-east-1"))
    assert "While an update runs there are two fleets: up to $0.46 an hour more." in found.notes
    assert any(note.startswith("By use, not counted: data in and out") for note in found.notes)


def test_another_instance_type_is_told_beside_the_old_one() -> None:
    found = bill(module("ml.m5.large", 1), module("ml.g4dn.xlarge", 1), "create", "delete", wanted=3)
    assert found.lines[0].note.startswith("3 × ml.m5.large → 1 × ml.g4dn.xlarge")
    assert found.before == pytest.approx(3 * 0.115 * 730)
    assert found.after == pytest.approx(0.736 * 730)


def test_instances_that_stay_are_counted_as_they_are() -> None:
    found = bill(module("ml.m5.large", 1), module("ml.m5.large", 1), "no-op", wanted=3)
    assert found.before == found.after == pytest.approx(3 * 0.115 * 730)


def test_a_price_that_is_not_known_is_told_and_in_no_sum() -> None:
    found = bill(module("ml.m5.large", 1), module("ml.x9.large", 1), "create", "delete")
    assert found.before == pytest.approx(0.115 * 730)
    assert (found.after, found.worst) == (None, None)
    assert any(
        "Not in the price table, and so in no sum: endpoint (python -m ops.prices us-east-1" in note
        for note in found.notes
    )
    elsewhere = bill({}, module("ml.m5.large", 1), "create", region="mars-1")
    assert (elsewhere.after, elsewhere.as_of) == (None, "")


def test_what_goes_costs_nothing_afterwards() -> None:
    found = bill(module("ml.m5.large", 1, DASHBOARD), {}, "delete", wanted=1)
    assert (found.after, found.worst) == (0, 0)
    assert {line.name: line.after for line in found.lines} == {"endpoint": 0, "dashboard": 0}
