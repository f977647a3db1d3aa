from __future__ import annotations

import json
import re
from typing import Any

import pytest

from ops import declared_cost
from ops.cost import HOURS, usd
from ops.declared_cost import FREE, PRICED, USAGE, Declared, Estate, Resource
from ops.fleet import CONFIGURATION, STACK, Fleet
from ops.paths import TERRAFORM


def priced(*given: tuple[str, dict[str, Any]], fleet: Fleet | None = None, **variables: Any) -> Declared:
    found = tuple(
        Resource(f"{kind}.this[{number}]", kind, "this", "", values)
        for number, (kind, values) in enumerate(given)
    )
    return declared_cost.of(Estate(found, "us-east-1", variables, fleet))


def variant(kind: str = "ml.m5.large", count: int = 1, **more: Any) -> tuple[str, dict[str, Any]]:
    values = {"instance_type": kind, "initial_instance_count": count} | more
    return CONFIGURATION, {"production_variants": [values]}


def target(least: int, most: int) -> tuple[str, dict[str, Any]]:
    return "aws_appautoscaling_target", {
        "service_namespace": "sagemaker", "min_capacity": least, "max_capacity": most,
    }  # fmt: skip


def test_every_resource_type_of_the_terraform_files_is_known_to_cost_or_not() -> None:
    text = "".join(file.read_text() for file in TERRAFORM.rglob("*.tf") if ".terraform" not in file.parts)
    declared = set(re.findall(r'^resource "(\w+)"', text, re.MULTILINE))
    assert declared - {*PRICED, *USAGE, *FREE} == set()


def test_an_endpoint_costs_its_instances_at_most_those_of_its_limits_and_twice_as_many_in_an_update() -> None:
    found = priced(variant(count=2), target(1, 4), ("aws_sagemaker_endpoint", {}))
    (one,) = found.costs
    assert (one.what, one.detail) == ("endpoint", "2 × ml.m5.large")
    assert one.hourly == pytest.approx(0.23)
    assert one.most == pytest.approx(0.46)
    assert one.update == pytest.approx(0.46)
    assert one.note == "between 1 and 4 by its use"


def test_an_update_that_rolls_needs_no_second_fleet() -> None:
    rolling: dict[str, Any] = {"deployment_config": [{"rolling_update_policy": [{}]}]}
    assert priced(variant(), ("aws_sagemaker_endpoint", rolling)).costs[0].update == 0


def test_a_schedule_moves_the_limits() -> None:
    action = {"scalable_target_action": [{"min_capacity": "3", "max_capacity": "8"}]}
    found = priced(variant(), target(1, 4), ("aws_appautoscaling_scheduled_action", action))
    assert found.costs[0].most == pytest.approx(8 * 0.115)


def test_the_live_count_goes_before_the_declared_one() -> None:
    live = Fleet("kennel-dev", "c", "InService", None, 3, "ml.m5.large")
    assert priced(variant(), target(1, 4), fleet=live).costs[0].detail == "3 × ml.m5.large"
    unscaled = priced(variant(), fleet=live).costs[0]  # what was scaled by hand is there, and stays
    assert (unscaled.detail, unscaled.hourly, unscaled.most) == (
        "3 × ml.m5.large",
        *[pytest.approx(0.345)] * 2,
    )


def test_an_endpoint_that_scales_to_zero_is_read_from_its_stack_or_the_variables() -> None:
    managed = {"MinInstanceCount": 0, "MaxInstanceCount": 3}
    body = {"Resources": {"C": {"Properties": {"ProductionVariants": [
        {"InstanceType": "ml.c5.large", "InitialInstanceCount": 1, "ManagedInstanceScaling": managed}
    ]}}}}  # fmt: skip
    known = priced((STACK, {"template_body": json.dumps(body)})).costs[0]
    unknown = priced(
        (STACK, {}),
        endpoint={"instance_type": "ml.c5.large"},
        autoscaling={"min_instances": 0, "max_instances": 3},
    ).costs[0]
    hidden = priced(
        (STACK, {"template_body": "(hidden 1)"}),
        endpoint={"instance_type": "ml.c5.large"},
        autoscaling={"min_instances": 0, "max_instances": 3},
    ).costs[0]
    assert known == unknown == hidden
    assert known.hourly == pytest.approx(0.102)
    assert known.most == pytest.approx(0.306)
    assert known.note.startswith("between 0 and 3")


def test_what_is_not_in_the_table_is_unknown_and_not_nothing() -> None:
    (one,) = priced(variant("ml.x9.large")).costs
    assert one.hourly is None
    assert one.most is None
    assert priced(("aws_neptune_cluster", {})).unknown == ("aws_neptune_cluster",)


def test_instances_disks_and_what_is_kept_warm_cost_by_the_hour() -> None:
    found = priced(
        ("aws_instance", {
            "instance_type": "t2.xlarge", "root_block_device": [{"volume_size": 50, "volume_type": "gp3"}],
        }),
        ("aws_sagemaker_notebook_instance", {"instance_type": "ml.t3.medium", "volume_size": 20}),
        ("aws_lambda_function", {"memory_size": 512, "architectures": ["arm64"]}),
        ("aws_lambda_provisioned_concurrency_config", {"provisioned_concurrent_executions": 2}),
        ("aws_nat_gateway", {}),
        ("aws_eip", {}),
    )  # fmt: skip
    monthly = {one.what: round((one.hourly or 0) * HOURS, 2) for one in found.costs}
    assert monthly == {
        "training instance": 135.49,
        "training disk": 4.0,
        "notebook": 36.5,
        "notebook's disk": 2.8,
        "kept warm": 8.76,
        "NAT gateway": 32.85,
        "public address": 3.65,
    }


def test_a_stopped_instance_costs_its_disk_alone_and_may_run() -> None:
    values = {"instance_type": "m5.large", "instance_state": "stopped", "root_block_device": [{}]}
    machine, disk = priced(("aws_instance", values)).costs
    assert machine.hourly == 0
    assert machine.most == pytest.approx(0.096)
    assert machine.note == "stopped: its disk alone costs"
    assert disk.detail == "8 GB gp2"


@pytest.mark.parametrize(
    ("instance", "subnet", "hourly"),
    [
        ({"associate_public_ip_address": True}, {}, [0.005]),
        ({}, {"map_public_ip_on_launch": True}, [0.005]),  # not known before the apply
        ({"instance_state": "stopped"}, {"map_public_ip_on_launch": True}, [0]),
        ({"associate_public_ip_address": False}, {"map_public_ip_on_launch": True}, []),
        ({}, {}, []),
    ],
)
def test_the_public_address_of_an_instance_costs(
    instance: dict[str, Any], subnet: dict[str, Any], hourly: list[float]
) -> None:
    found = priced(("aws_instance", {"instance_type": "m5.large"} | instance), ("aws_subnet", subnet))
    assert [one.hourly for one in found.costs if one.what == "public address"] == hourly


def test_interface_endpoints_cost_in_each_zone_and_the_gateway_of_s3_nothing() -> None:
    interface = {"vpc_endpoint_type": "Interface", "service_name": "com.amazonaws.us-east-1.ssm"}
    found = priced(
        ("aws_subnet", {}), ("aws_subnet", {}), ("aws_vpc_endpoint", interface),
        ("aws_vpc_endpoint", {"vpc_endpoint_type": "Gateway"}),
    )  # fmt: skip
    assert [(one.what, one.detail, one.hourly) for one in found.costs] == [
        ("interface endpoints", "ssm in 2 zones", 0.02)
    ]


def test_alarms_cost_by_their_metrics_and_those_of_target_tracking_too() -> None:
    def tracking(metric: str) -> dict[str, Any]:
        return {"target_tracking_scaling_policy_configuration": [
            {"predefined_metric_specification": [{"predefined_metric_type": metric}]}
        ]}  # fmt: skip

    queries = [{"metric": [{"period": 60}]}, {"metric": [{"period": 60}]}, {"expression": "a - b"}]
    found = priced(
        ("aws_cloudwatch_metric_alarm", {"period": 60}),
        ("aws_cloudwatch_metric_alarm", {"metric_query": queries}),
        ("aws_appautoscaling_policy", tracking("SageMakerVariantInvocationsPerInstance")),
        ("aws_appautoscaling_policy", {}),
    )
    assert [(one.detail, round((one.hourly or 0) * HOURS, 2)) for one in found.costs] == [
        ("5 alarm metrics", 0.5)
    ]
    fast = priced(
        ("aws_appautoscaling_policy", tracking("SageMakerVariantConcurrentRequestsPerModelHighResolution"))
    )
    assert round((fast.costs[0].hourly or 0) * HOURS, 2) == 0.6


def test_what_costs_by_use_is_named_with_its_price() -> None:
    assert priced(("aws_cloudwatch_log_group", {})).usage == (
        "logs, $0.50 a GB, and $0.03 a GB and month to keep",
    )


@pytest.mark.parametrize(
    ("value", "text"), [(None, "unknown"), (0, "$0.00"), (1234.5, "$1,234.50"), (0.0000133334, "$0.0000133")]
)
def test_an_amount_reads_well_however_small_it_is(value: float | None, text: str) -> None:
    assert usd(value) == text
