"""What a module is handed is followed to the resource that it is of."""

from __future__ import annotations

import copy
from typing import Any

from ops.policy.followed import follow


def call(resources: list[dict[str, Any]], expressions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"expressions": expressions, "module": {"resources": resources, **more}}


def block(*references: str) -> dict[str, Any]:
    return {
        "address": "aws_s3_bucket_public_access_block.this",
        "expressions": {"bucket": {"references": [*references]}},
    }


def followed(module: dict[str, Any], *path: str) -> list[str]:
    """Return the references of the bucket of the first resource in a module."""
    plan = follow({"configuration": {"root_module": module}})
    found = plan["configuration"]["root_module"]
    for name in path:
        found = found["module_calls"][name]["module"]
    references: list[str] = found["resources"][0]["expressions"]["bucket"]["references"]
    return references


def test_a_variable_leads_through_two_modules_to_a_resource() -> None:
    inner = call([block("var.bucket.id", "var.bucket")], {"bucket": {"references": ["var.given"]}})
    outer = call(
        [],
        {"given": {"references": ["aws_s3_bucket.ours.id", "aws_s3_bucket.ours"]}},
        module_calls={"inner": inner},
    )
    found = followed({"module_calls": {"outer": outer}}, "outer", "inner")
    assert found == ["aws_s3_bucket.ours.id", "aws_s3_bucket.ours", "var.bucket.id", "var.bucket"]


def test_of_an_object_the_attribute_that_is_meant_is_followed() -> None:
    handed = {"references": ["aws_kms_key.ours.arn", "aws_s3_bucket.ours.id"]}
    found = followed({"module_calls": {"m": call([block("var.bucket.id")], {"bucket": handed})}}, "m")
    assert found == ["aws_s3_bucket.ours.id", "var.bucket.id"]


def test_an_output_of_another_module_is_followed() -> None:
    maker = call([], {}, outputs={"names": {"expression": {"references": ["aws_s3_bucket.made"]}}})
    user = call(
        [block("var.bucket")], {"bucket": {"references": ['module.maker.names["a"].x', "module.maker"]}}
    )
    found = followed({"module_calls": {"maker": maker, "user": user}}, "user")
    assert found[0] == "aws_s3_bucket.made"


def test_an_output_that_leads_to_no_resource_stays_something() -> None:
    maker = call([], {}, outputs={"names": {"expression": {"references": ["local.names"]}}})
    user = call([block("var.bucket")], {"bucket": {"references": ["module.maker.names"]}})
    assert followed({"module_calls": {"maker": maker, "user": user}}, "user") == [
        "module.maker.names",
        "var.bucket",
    ]


def test_a_variable_that_nobody_sets_leads_nowhere() -> None:
    assert followed({"resources": [block("var.bucket")]}) == ["var.bucket"]


def test_the_plan_that_is_handed_in_stays_as_it_is() -> None:
    plan = {
        "configuration": {
            "root_module": {"module_calls": {"m": call([block("var.b")], {"b": {"references": ["a.b"]}})}}
        }
    }
    before = copy.deepcopy(plan)
    assert follow(plan) != before
    assert plan == before


def test_each_policy_gets_a_name_of_its_own_and_nothing_else_does() -> None:
    def planned(kind: str, index: str) -> dict[str, str]:
        return {"address": f'{kind}.actor["{index}"]', "type": kind, "name": "actor"}

    policies = [planned("aws_iam_role_policy", index) for index in ("lambda", "training")]
    inner = {"resources": [planned("aws_iam_role", "lambda"), *policies]}
    found = follow({"planned_values": {"root_module": {"child_modules": [inner]}}})
    names = [each["name"] for each in found["planned_values"]["root_module"]["child_modules"][0]["resources"]]
    assert names == ["actor", "aws_iam_role_policy_actor_lambda_", "aws_iam_role_policy_actor_training_"]
