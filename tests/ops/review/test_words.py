"""Each change is told in words, the gravest first, without the provider's noise."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from ops.paths import TERRAFORM
from ops.review import differences, vocabulary, words
from ops.review.words import Change
from tests.ops.review.plans import entry, plan

CONFIG = "module.endpoint[0].aws_sagemaker_endpoint_configuration.this"


def told(*entries: dict[str, Any]) -> list[Change]:
    return words.changes(plan(*entries))


def only(*arguments: Any, **named: Any) -> Change:
    (change,) = told(entry(*arguments, **named))
    return change


def declared(pattern: str) -> set[str]:
    files = [path for path in TERRAFORM.rglob("*.tf") if ".terraform" not in path.parts]
    return {found for path in files for found in re.findall(pattern, path.read_text(), re.MULTILINE)}


def test_every_declared_type_of_resource_has_words() -> None:
    types = declared(r'^resource "(\w+)"') - {"terraform_data"}
    assert types
    assert types - set(vocabulary.kinds()) == set(), "ops/review/vocabulary.toml has no words for these"


def test_every_note_of_terraforms_own_has_words() -> None:
    notes = {f"terraform_data.{name}" for name in declared(r'^resource "terraform_data" "(\w+)"')}
    assert notes - set(vocabulary.kinds()) == set(), "ops/review/vocabulary.toml has no words for these"


def test_what_goes_is_told_before_what_comes() -> None:
    found = told(
        entry("aws_sns_topic.new", None, {"name": "n"}),
        entry("aws_sns_topic.old", {"name": "o"}, None),
        entry("aws_sns_topic.other", {"name": "x", "kms_master_key_id": "a"}, {"name": "x", "kms_master_key_id": "b"}),
        entry("aws_sns_topic.again", {"name": "p"}, {"name": "q"}, actions=["delete", "create"]),
        entry("aws_sns_topic.same", {"name": "s"}, {"name": "s"}),
        entry("data.aws_region.this", None, {"name": "r"}, actions=["read"]),
    )  # fmt: skip
    assert [change.action for change in found] == ["destroy", "replace", "update", "create"]
    assert words.counts(found) == {"destroy": 1, "replace": 1, "update": 1, "create": 1}


def test_what_serves_is_told_before_what_it_stands_on() -> None:
    found = told(
        entry("aws_cloudwatch_log_group.a", {"name": "g"}, None), entry("aws_sagemaker_endpoint.z", {"name": "e"}, None)
    )  # fmt: skip
    assert [change.type for change in found] == ["aws_sagemaker_endpoint", "aws_cloudwatch_log_group"]


def test_a_destroy_says_what_is_lost() -> None:
    assert only("aws_s3_bucket.a", {"bucket": "photos"}, None).text == (
        "Bucket photos is DELETED: all that is in it goes with it"
    )


def test_what_an_update_that_failed_has_left_is_told_apart() -> None:
    change = only(CONFIG, {"name": "old"}, None, deposed="0123")
    assert change.text == "Endpoint configuration old, left by an update that did not succeed, is deleted"


def test_a_replacement_says_what_forces_it_and_what_comes_first() -> None:
    before, after = ({"name": "a", "production_variants": [{"instance_type": kind}]} for kind in ("m", "c"))
    found = entry(CONFIG, before, after, actions=["create", "delete"])
    found["change"]["replace_paths"] = [["name"], ["production_variants", 0, "instance_type"]]
    (change,) = told(found)
    assert change.text == (
        "Endpoint configuration a is replaced, the new one made first: its instance type changes"
    )
    assert change.details == ("instance type: m → c",)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("replace_by_request", "is DELETED and made anew: this command asks for it"),
        ("replace_because_tainted", "is DELETED and made anew: making it did not succeed"),
        ("replace_by_triggers", "is DELETED and made anew: something that it follows is made anew"),
    ],
)
def test_a_replacement_that_no_attribute_forces_says_why(reason: str, text: str) -> None:
    state = {"name": "a"}
    change = only("aws_sns_topic.a", state, state, actions=["delete", "create"], action_reason=reason)
    assert change.text.endswith(text)


def test_the_endpoint_moves_to_a_configuration_that_has_no_name_yet() -> None:
    change = only(
        "aws_sagemaker_endpoint.this", {"name": "kennel", "endpoint_config_name": "old"}, {"name": "kennel"},
        unknown={"endpoint_config_name": True, "arn": True},
    )  # fmt: skip
    assert change.text == "Endpoint kennel moves to another configuration: old → known after the apply"


def test_settings_are_named_and_never_told() -> None:
    before = {"function_name": "f", "environment": [{"variables": {"A": "(hidden 1)", "B": "(hidden 2)"}}]}
    after = {"function_name": "f", "environment": [{"variables": {"A": "(hidden 3)", "C": "(hidden 2)"}}]}
    assert only("aws_lambda_function.this", before, after).details == (
        "setting A changes (value hidden)",
        "setting B goes (value hidden)",
        "setting C comes (value hidden)",
    )


def test_a_policy_is_not_dumped() -> None:
    before, after = ({"role": "r", "policy": json.dumps({"Statement": [number]})} for number in (1, 2))
    change = only("aws_iam_role_policy.this", before, after)
    assert change.text == "Policy of the role r: what it allows changes"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"kms_key_id": ""}, {"kms_key_id": None}),
        ({"skip_destroy": False}, {"skip_destroy": None}),
        ({"arn": "old"}, {"arn": "new"}),
        ({"policy": '{"a": 1, "b": 2}'}, {"policy": '{"b":2,"a":1}'}),
        ({"tags": {}}, {"tags": None}),
    ],
)
def test_what_only_looks_different_is_not_told(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert only("aws_cloudwatch_log_group.a", before, after, actions=["update"]).details == ()


def test_digests_and_addresses_are_cut_to_what_they_are_known_by() -> None:
    digest = "0123456789abcdef" * 4
    (change,) = told(
        entry(f'module.storage.aws_s3_object.archive["{digest}"]', None, {"key": f"models/{digest}/m"})
    )
    assert change.text == "Object models/0123456789ab…/m is new"
    assert differences.shorter(change.address) == 'module.storage.aws_s3_object.archive["0123456789ab…"]'


def test_tags_that_come_from_the_provider_are_told_as_tags() -> None:
    before, after = (
        {"name": "a", "tags_all": {"x": "1"}},
        {"name": "a", "tags_all": {"x": "1", "owner": "me"}},
    )
    change = only("aws_sns_topic.a", before, after)
    assert change.details == ("tag owner: none → me",)
    assert change.only_tags


def test_a_type_without_words_is_told_by_its_own() -> None:
    change = only("aws_glue_job.a", {"name": "j", "max_retries": 1}, {"name": "j", "max_retries": 3})
    assert change.text == "Glue job j: max retries: 1 → 3"


def test_what_leaves_comes_or_moves_within_terraform_is_told() -> None:
    state = {"name": "t"}
    forgotten = entry("aws_sns_topic.a", state, None, actions=["forget"])
    moved = entry("aws_sns_topic.b", state, state, previous_address="aws_sns_topic.was")
    imported = entry("aws_sns_topic.c", state, state)
    imported["change"]["importing"] = {"id": "x"}
    texts = {change.action: change.text for change in told(forgotten, moved, imported)}
    assert texts == {
        "forget": "Topic t leaves Terraform's care and stays as it is",
        "import": "Topic t comes into Terraform's care",
        "move": "Topic t stays as it is; Terraform knew it as aws_sns_topic.was",
    }


@pytest.mark.parametrize("actions", [["create", "forget"], ["forget", "create"]])
def test_what_is_forgotten_for_another_is_not_called_deleted(actions: list[str]) -> None:
    change = only("aws_sns_topic.a", {"name": "t"}, {"name": "u"}, actions=actions)
    assert (change.action, change.text) == (
        "forget",
        "Topic t leaves Terraform's care and stays as it is, and another is made",
    )


def test_the_template_of_a_stack_is_told_by_what_differs_in_it() -> None:
    def stack(instance_type: str, model: str, zone: str) -> dict[str, Any]:
        variants = [{"InstanceType": instance_type}]
        resources = {
            "Configuration": {"Properties": {"ProductionVariants": variants}},
            "Component": {"Properties": {"AvailabilityZone": zone}},
        }
        outputs = {"ModelName": {"Value": model}}
        return {"name": "s", "template_body": json.dumps({"Resources": resources, "Outputs": outputs})}

    change = only("aws_cloudformation_stack.this", stack("m", "a", "x"), stack("c", "b", "y"))
    assert change.details == ("Properties Availability zone: x → y", "instance type: m → c")
