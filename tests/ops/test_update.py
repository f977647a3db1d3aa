from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ops import update
from ops.fleet import Fleet


def fleet(wanted: int) -> Fleet:
    return Fleet("kennel-local", "kennel-local-1", "InService", None, wanted)


def change(address: str, actions: list[str], before: Any, after: Any) -> dict[str, Any]:
    kind, name = address.split(".")[-2:]
    return {
        "address": address,
        "type": kind,
        "name": name.split("[")[0],
        "change": {"actions": actions, "before": before, "after": after},
    }


def plan(
    count: int = 3,
    *,
    types: tuple[str, str] = ("ml.m5.large", "ml.m5.large"),
    rollout: dict[str, Any] | None = None,
    scales: bool = True,
    endpoint: tuple[str, ...] = ("update",),
) -> dict[str, Any]:
    def variants(kind: str, instances: int) -> dict[str, Any]:
        return {"production_variants": [{"instance_type": kind, "initial_instance_count": instances}]}

    policy = {
        "target_tracking_scaling_policy_configuration": [
            {
                "scale_out_cooldown": 10,
                "predefined_metric_specification": [
                    {"predefined_metric_type": "SageMakerVariantInvocationsPerInstance"}
                ],
            }
        ]
    }
    root, scaling = "module.endpoint[0].", "module.autoscaling[0]."
    found = [
        change(
            root + "aws_sagemaker_endpoint_configuration.this",
            ["create", "delete"],
            variants(types[0], 1),
            variants(types[1], count),
        ),
        change(
            root + "terraform_data.rollout",
            ["delete", "create"],
            {},
            {"input": rollout or {"routing": "ALL_AT_ONCE"}},
        ),
        change(root + "aws_sagemaker_endpoint.this", list(endpoint), {}, {}),
    ]
    if scales:
        found += [
            change(scaling + "aws_appautoscaling_target.variant", ["no-op"], {"id": 1}, {"id": 1}),
            change(scaling + "aws_appautoscaling_policy.target_tracking[0]", ["no-op"], policy, policy),
        ]
    return {"resource_changes": found, "variables": {"endpoint": {"value": {"instance_count": 1}}}}


def told(planned: dict[str, Any], live: Fleet | None) -> str:
    found = update.of_plan(planned, live)
    assert found is not None
    return "\n".join(found.lines)


def test_a_plan_that_leaves_the_configuration_is_no_update() -> None:
    planned = plan()
    planned["resource_changes"][0]["change"]["actions"] = ["no-op"]
    assert update.of_plan(planned, fleet(3)) is None


@pytest.mark.parametrize(
    ("count", "live", "scales", "words"),
    [
        (3, 3, True, "Instances: 3 kept (live), 1 declared."),
        (4, 6, True, "Instances: 4 (6 live, 1 declared): autoscaling's limits allow no more."),
        (2, 1, True, "Instances: 2 (1 live, 1 declared): autoscaling's limits allow no fewer."),
        (1, 3, False, "Instances: 1 declared, 3 live; nothing scales, so that the declared count holds."),
        (1, None, True, "Instances: 1."),
    ],
)
def test_the_count_is_told_with_where_it_comes_from(
    count: int, live: int | None, scales: bool, words: str
) -> None:
    running = None if live is None else fleet(live)
    assert words in told(plan(count, scales=scales), running)


def test_a_canary_that_is_no_whole_number_of_instances_is_told() -> None:
    text = told(plan(3, rollout={"routing": "CANARY", "canary_percent": 25, "wait_seconds": 60}), fleet(3))
    assert "Traffic: 25 % of the new fleet first, after 60 s the rest." in text
    assert "of 3, 25 % is not" in text


def test_a_canary_of_half_of_two_needs_no_words() -> None:
    text = told(plan(2, rollout={"routing": "CANARY", "canary_percent": 50, "wait_seconds": 60}), fleet(2))
    assert "whole instances" not in text


def test_another_instance_type_takes_scaling_away_first() -> None:
    found = update.of_plan(plan(types=("ml.m5.large", "ml.c5.large")), fleet(3))
    assert found is not None
    assert found.registers_anew
    assert "Instance type: ml.m5.large → ml.c5.large." in found.lines


@pytest.mark.parametrize("registered", [{"id": 1}, None])
def test_the_type_before_is_that_of_what_serves_whatever_an_update_that_failed_has_recorded(
    registered: dict[str, Any] | None,
) -> None:
    planned = plan(types=("ml.c5.large", "ml.c5.large"))
    planned["resource_changes"][3]["change"]["before"] = registered
    found = update.of_plan(planned, replace(fleet(3), instance_type="ml.m5.large"))
    assert found is not None
    assert found.types == ("ml.m5.large", "ml.c5.large")
    assert found.registers_anew


def test_an_endpoint_that_would_be_replaced_is_told() -> None:
    assert "The endpoint is REPLACED" in told(plan(endpoint=("delete", "create")), fleet(3))


def test_the_reaction_time_of_scaling_is_told() -> None:
    assert "Scaling out: more instances serve about 10 min after the load has risen" in told(plan(), fleet(3))


def test_the_essence_of_a_plan_is_what_changes_but_for_the_count() -> None:
    assert update.essence(plan(3)) == update.essence(plan(4))
    assert update.essence(plan(3)) != update.essence(plan(3, types=("ml.m5.large", "ml.c5.large")))
