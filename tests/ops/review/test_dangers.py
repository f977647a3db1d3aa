from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from ops.artifacts import Model
from ops.fleet import Fleet
from ops.review import dangers, models
from ops.review.dangers import page
from ops.review.facts import Account, Facts, Quota
from tests.ops.review.plans import allow, entry, facts, policy

CONFIG = "module.endpoint[0].aws_sagemaker_endpoint_configuration.this"
TARGET = "module.autoscaling[0].aws_appautoscaling_target.variant"
ENDPOINT = "module.endpoint[0].aws_sagemaker_endpoint.this"
FUNCTION = "module.lambda.aws_lambda_function.this"
REPLACED = ["create", "delete"]
STAYS = entry(ENDPOINT, {"name": "kennel"}, {"name": "kennel"})


def config(count: int, before: int = 1, kind: str = "ml.m5.large", **more: Any) -> dict[str, Any]:
    def state(instances: int, of: str) -> dict[str, Any]:
        return {"production_variants": [{"initial_instance_count": instances, "instance_type": of}]}

    return entry(CONFIG, state(before, "ml.m5.large"), state(count, kind), actions=REPLACED, **more)


def fleet(wanted: int) -> Fleet:
    return Fleet("kennel", "kennel-1", "InService", None, wanted, "ml.m5.large")


def tracking(**settings: Any) -> dict[str, Any]:
    metric = [{"predefined_metric_type": "SageMakerVariantInvocationsPerInstance"}]
    known = {"scale_in_cooldown": 300, "scale_out_cooldown": 10, "disable_scale_in": False}
    return {
        "target_tracking_scaling_policy_configuration": [
            known | settings | {"predefined_metric_specification": metric}
        ]
    }


def changed(address: str, name: str, before: Any, after: Any, **same: Any) -> dict[str, Any]:
    """Return the update of one attribute."""
    return entry(address, {name: before, **same}, {name: after, **same})


# What is planned, and all that is said of it.
CASES: list[tuple[str, Facts, set[str]]] = [
    ("nothing", facts(STAYS), set()),
    ("scaled out, and reset", facts(config(1), fleet=fleet(3)), {"count-reset"}),
    ("fewer, as declared", facts(config(1, before=3), fleet=fleet(3)), {"fewer-instances"}),
    ("as many as are live", facts(config(3), fleet=fleet(3)), set()),
    (
        "a configuration under the same name",
        facts(entry(CONFIG, {"name": "a"}, {"name": "a"}, actions=["delete", "create"]), fleet=fleet(1)),
        {"name-reused"},
    ),
    (
        "a configuration under a name that is taken",
        facts(entry(CONFIG, None, {"name": "a"}), live_configs=frozenset("a")),
        {"name-reused"},
    ),
    (
        "another type of an endpoint that scales",
        facts(config(1, kind="ml.c5.large"), entry(TARGET, {"id": 1}, {"id": 1}), fleet=fleet(1)),
        {"scaled-type-changed"},
    ),
    ("another type of one that does not", facts(config(1, kind="ml.c5.large"), fleet=fleet(1)), set()),
    (
        "no quota beside what others use",
        facts(config(2), account=Account({"ml.m5.large for endpoint usage": Quota(4, 3)})),
        {"quota-short"},
    ),
    (
        "a quota whose use is not known",
        facts(config(2), fleet=fleet(2), account=Account({"ml.m5.large for endpoint usage": Quota(4)})),
        set(),
    ),
    (
        "a limit that the quota does not reach",
        facts(
            config(1),
            entry(TARGET, None, {"min_capacity": 1, "max_capacity": 4}),
            account=Account({"ml.m5.large for endpoint usage": Quota(4, 0)}),
        ),
        {"quota-short-at-max"},
    ),
    ("scaling goes", facts(STAYS, entry(TARGET, {"resource_id": "x"}, None)), {"scaling-removed"}),
    (
        "the last policy goes",
        facts(
            STAYS, entry(TARGET, {"id": 1}, {"id": 1}), entry("aws_appautoscaling_policy.a", tracking(), None)
        ),
        {"scaling-removed"},
    ),
    (
        "the limit falls below what serves, and the count with it",
        facts(
            config(2),
            changed(TARGET, "max_capacity", 4, 2, min_capacity=1),
            fleet=fleet(3),
        ),
        {"max-below-live"},
    ),
    ("at least one", facts(changed(TARGET, "min_capacity", 2, 1, max_capacity=4)), {"min-lowered-to-one"}),
    ("many more at most", facts(changed(TARGET, "max_capacity", 2, 20, min_capacity=1)), {"max-leaps"}),
    (
        "scaling in at once",
        facts(entry("aws_appautoscaling_policy.a", tracking(), tracking(scale_in_cooldown=0))),
        {"scale-in-hasty"},
    ),
    (
        "never scaling in",
        facts(entry("aws_appautoscaling_policy.a", tracking(), tracking(disable_scale_in=True))),
        {"scale-in-off"},
    ),
    (
        "another cooldown",
        facts(entry("aws_appautoscaling_policy.a", tracking(), tracking(scale_out_cooldown=30))),
        {"scaling-reaction"},
    ),
    (
        "an image by its tag",
        facts(
            entry(
                "aws_sagemaker_model.this",
                {"primary_container": [{"image": "x/serving@sha256:0"}]},
                {"primary_container": [{"image": "x/serving:latest"}]},
                actions=REPLACED,
            )
        ),
        {"image-by-tag"},
    ),
    (
        "a network for the containers",
        facts(changed("aws_sagemaker_model.this", "enable_network_isolation", True, False)),
        {"isolation-removed"},
    ),
    (
        "a configuration that goes first",
        facts(entry(CONFIG, {"name": "a"}, {}, actions=["delete", "create"]), fleet=fleet(1)),
        {"in-use-goes-first"},
    ),
    (
        "a function that is switched off",
        facts(changed(FUNCTION, "reserved_concurrent_executions", -1, 0, function_name="f")),
        {"concurrency-zero"},
    ),
    (
        "an alias that goes while the function stays",
        facts(entry(FUNCTION, {"id": 1}, {"id": 1}), entry("aws_lambda_alias.live", {"name": "live"}, None)),
        {"callers-cut-off"},
    ),
    (
        "the archive that serves",
        facts(
            STAYS,
            entry("aws_s3_object.archive", {"key": f"models/{'a' * 64}/model.tar.gz"}, None),
            deployed=Model("a", "a" * 64, {}),
            model=Model("a", "a" * 64, {}),
        ),
        {"archive-in-use-destroyed"},
    ),
    (
        "the archive of an earlier model",
        facts(
            STAYS,
            entry("aws_s3_object.archive", {"key": f"models/{'b' * 64}/model.tar.gz"}, None),
            deployed=Model("a", "a" * 64, {}),
            model=Model("a", "a" * 64, {}),
        ),
        set(),
    ),
    (
        "a training instance that goes",
        facts(entry("aws_instance.this", {"id": "i"}, None)),
        {"training-disk-lost"},
    ),
    (
        "no provisioned concurrency",
        facts(entry("aws_lambda_provisioned_concurrency_config.live", {}, None)),
        {"provisioned-removed"},
    ),
    (
        "a repository with images",
        facts(entry("aws_ecr_repository.this", {"name": "serving"}, None)),
        {"images-destroyed"},
    ),
    (
        "a bucket by default only",
        facts(entry("aws_s3_bucket_server_side_encryption_configuration.this", {"bucket": "b"}, None)),
        {"encryption-weakened"},
    ),
    (
        "a key that is switched off",
        facts(changed("aws_kms_key.this", "is_enabled", True, False)),
        {"key-destroyed"},
    ),
    (
        "logs for good, and for a month",
        facts(changed("aws_cloudwatch_log_group.a", "retention_in_days", 0, 30)),
        {"retention-shortened"},
    ),
    (
        "logs for a month, and for good",
        facts(changed("aws_cloudwatch_log_group.a", "retention_in_days", 30, 0)),
        set(),
    ),
    (
        "a port for all in a group's own rules",
        facts(
            changed("aws_security_group.a", "ingress", [], [{"protocol": "-1", "cidr_blocks": ["0.0.0.0/0"]}])
        ),
        {"network-opened"},
    ),
    (
        "a port for half of all",
        facts(changed("aws_vpc_security_group_ingress_rule.a", "cidr_ipv4", "10.0.0.0/8", "128.0.0.0/1")),
        {"network-opened"},
    ),
    (
        "a port for another network",
        facts(changed("aws_vpc_security_group_ingress_rule.a", "cidr_ipv4", "10.0.0.0/8", "172.16.0.0/12")),
        set(),
    ),
    (
        "a public address",
        facts(changed("aws_instance.this", "associate_public_ip_address", False, True)),
        {"public-addresses"},
    ),
    ("flow logs go", facts(entry("aws_flow_log.this", {"id": "fl"}, None)), {"flow-logs-removed"}),
    ("a subnet without anything in it", facts(entry("aws_subnet.a", {"id": "subnet-1"}, None)), set()),
    (
        "a subnet with the function in it",
        facts(
            entry("aws_subnet.a", {"id": "subnet-1"}, None),
            entry(
                "aws_lambda_function.this",
                {"vpc_config": [{"subnet_ids": ["subnet-1"]}]},
                {},
                actions=["no-op"],
            ),
        ),
        {"network-replaced"},
    ),
    (
        "a notebook with root rights, which is restarted",
        facts(changed("aws_sagemaker_notebook_instance.this", "root_access", "Disabled", "Enabled")),
        {"notebook-opened", "machine-restarted"},
    ),
    (
        "the last subscription",
        facts(entry("aws_sns_topic_subscription.a", {"endpoint": "x"}, None)),
        {"nobody-told"},
    ),
    (
        "alarms without actions",
        facts(changed("aws_cloudwatch_metric_alarm.a", "alarm_actions", ["arn"], [])),
        {"nobody-told"},
    ),
    (
        "an alarm goes",
        facts(entry("aws_cloudwatch_metric_alarm.a", {"alarm_name": "a"}, None)),
        {"alarms-removed"},
    ),
    (
        "an alarm with twice the threshold",
        facts(
            changed(
                "aws_cloudwatch_metric_alarm.a",
                "threshold",
                5,
                10,
                comparison_operator="GreaterThanThreshold",
            )
        ),
        {"alarm-loosened"},
    ),
    (
        "a topic that is forgotten for another",
        facts(entry("aws_sns_topic.a", {"name": "t"}, {"name": "u"}, actions=["forget", "create"])),
        {"forgotten"},
    ),
    ("another address", facts(entry("a.b.new", {"id": 1}, {"id": 1}, previous_address="a.b.old")), {"moved"}),
    (
        "one of AWS's broad policies",
        facts(
            entry(
                "aws_iam_role_policy_attachment.a",
                None,
                {"role": "r", "policy_arn": "arn:aws:iam::aws:policy/AdministratorAccess"},
            )
        ),
        {"rights-everything"},
    ),
    (
        "all but some actions",
        facts(
            entry(
                "aws_iam_role_policy.a",
                {"role": "r", "policy": policy()},
                {"role": "r", "policy": policy({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"})},
            )
        ),
        {"rights-wildcard"},
    ),
    (
        "one thing more, by its name",
        facts(
            entry(
                "aws_iam_role_policy.a",
                {"role": "r", "policy": policy(allow("s3:GetObject", "arn:aws:s3:::a/b/*"))},
                {
                    "role": "r",
                    "policy": policy(allow("s3:GetObject", ["arn:aws:s3:::a/b/*", "arn:aws:s3:::a/c/*"])),
                },
            )
        ),
        {"rights-widened"},
    ),
]


@pytest.mark.parametrize(("planned", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_rule_speaks_up_where_it_has_to_and_nowhere_else(planned: Facts, said: set[str]) -> None:
    assert {danger.rule for danger in dangers.find(planned)} == said


def test_the_worst_comes_first_with_its_reason_and_its_remedy() -> None:
    found = dangers.find(
        facts(
            entry("aws_flow_log.this", {"id": "fl"}, None),
            entry("aws_lambda_function.this", {"function_name": "f"}, None),
        )
    )
    assert [danger.severity for danger in found] == ["danger", "warning"]
    assert found[0].text == "The function f is destroyed."
    assert found[0].why
    assert found[0].remedy


@pytest.mark.parametrize(
    ("accuracies", "worse"),
    [((0.90, 0.80), True), ((0.94, 0.93), True), ((0.90, 0.895), False), ((0.80, 0.90), False)],
)
def test_a_model_is_worse_from_a_point_of_accuracy_on(accuracies: tuple[float, float], worse: bool) -> None:
    deployed, model = (
        Model(name, name * 64, {"accuracy": share}) for name, share in zip("ab", accuracies, strict=True)
    )
    found = {danger.rule for danger in dangers.find(facts(deployed=deployed, model=model))}
    assert found == ({"model-worse"} if worse else set())


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        (
            "1.9.8",
            "1.11.4",
            ["Terraform 1.9.8 wrote the state last; this plan's apply writes it with 1.11.4."],
        ),
        ("1.11.0", "1.11.4", []),
        ("1.12.0", "1.11.4", []),
        ("", "1.11.4", []),
    ],
)
def test_a_newer_terraform_is_noted_where_earlier_ones_may_not_follow(
    then: str, now: str, told: list[str]
) -> None:
    found = dangers.find(Facts("dev", "us-east-1", {"terraform_version": now}, state_version=then))
    assert [(danger.rule, danger.severity, danger.text) for danger in found] == [
        ("terraform-newer", "note", text) for text in told
    ]


def test_classes_that_a_model_no_longer_knows_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    manifests = {"a": {"classes": ["beagle", "boxer"]}, "b": {"classes": ["boxer", "pug"]}}
    monkeypatch.setattr(models, "manifest_of", lambda model: manifests[model.name])
    deployed, model = (Model(name, name * 64, {}) for name in "ab")
    found = dangers.find(facts(deployed=deployed, model=model))
    assert [(danger.rule, danger.text) for danger in found] == [
        ("classes-lost", "Classes that are not known any more: beagle."),
        ("classes-renumbered", "boxer becomes number 0 instead of 1."),
    ]


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        (["akita", "beagle", "boxer"], ["beagle becomes number 1 instead of 0, and 1 more get another."]),
        (["beagle", "boxer", "pug"], []),
    ],
)
def test_classes_whose_numbers_change_are_told(
    classes: list[str], text: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests = {"a": {"classes": ["beagle", "boxer"]}, "b": {"classes": classes}}
    monkeypatch.setattr(models, "manifest_of", lambda model: manifests[model.name])
    deployed, model = (Model(name, name * 64, {}) for name in "ab")
    found = dangers.find(facts(deployed=deployed, model=model))
    assert [(danger.severity, danger.text) for danger in found] == [("warning", each) for each in text]


def test_the_page_lists_the_rules_as_they_are() -> None:
    assert page.PAGE.read_text() == page.page(), "run ./inv docs"


def test_every_rule_has_whole_sentences() -> None:
    for rule in dangers.rules():
        assert rule.when[0].islower() or rule.when.startswith("KMS"), rule.id
        for text in (rule.when, rule.why, rule.remedy):
            assert text[-1] in ".!?", rule.id
    assert max(Counter(rule.id for rule in dangers.rules()).values()) == 1
