"""Each of our own rules finds what it is for, and leaves alone what it is not for."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ops.paths import ROOT
from ops.policy.rules import RULES, judge
from tests.ops.policy.made import ACCOUNT, plan, resource

IMAGE = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/kennel-prod-serving@sha256:{'a' * 64}"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/0a1b"
PLANTED = "hunter2-hunter2"
BUCKET = resource("aws_s3_bucket.artifacts", {"bucket": "ours"})
Resource = dict[str, Any]


def of(rule: str, *resources: Resource, stage: str = "prod", **variables: Any) -> list[str]:
    """Return what one rule says of a plan."""
    assert rule in {each.id for each in RULES}
    return [found.text for found in judge(plan(*resources, stage=stage, **variables)) if found.id == rule]


def model(*, action: str = "create", vpc: Any = None, isolated: bool = True, **container: Any) -> Resource:
    whole = {
        "image": IMAGE,
        "model_data_url": "s3://ours/models/model.tar.gz",
        "environment": {},
        **container,
    }
    after = {"primary_container": [whole], "enable_network_isolation": isolated, "vpc_config": vpc or []}
    return resource("aws_sagemaker_model.this", after, action)


def configuration(kind: str = "ml.m5.large", key: str | None = None, capture: str | None = None) -> Resource:
    return resource(
        "aws_sagemaker_endpoint_configuration.this",
        {
            "kms_key_arn": key,
            "production_variants": [{"instance_type": kind}],
            "data_capture_config": [{"destination_s3_uri": capture}] if capture else [],
        },
    )


def test_nothing_is_found_in_what_is_as_it_should_be() -> None:
    assert (
        judge(
            plan(
                model(), configuration(key=KEY, capture="s3://ours/captures"), artifacts={"kms_key_arn": KEY}
            )
        )
        == []
    )


def test_an_image_of_a_third_partys_account_is_found() -> None:
    foreign = IMAGE.replace(ACCOUNT, "210987654321")
    assert of("foreign-image", model(image=foreign)) == [
        f"The container image {foreign} is of another account, 210987654321."
    ]


def test_an_image_of_awss_own_registry_is_let_pass() -> None:
    assert of("foreign-image", model(image=IMAGE.replace(ACCOUNT, "763104351884"))) == []


def test_an_image_by_tag_is_found_in_prod_alone() -> None:
    tagged = IMAGE.partition("@")[0] + ":latest"
    assert len(of("image-without-digest", model(image=tagged))) == 1
    assert of("image-without-digest", model(image=tagged), stage="dev") == []


def test_an_image_that_is_not_known_yet_breaks_no_rule() -> None:
    assert judge(plan(model(image=None, model_data_url=None))) == []


def test_an_archive_in_another_bucket_is_found() -> None:
    found = of("archive-elsewhere", tls_only(), BUCKET, model(model_data_url="s3://theirs/model.tar.gz"))
    assert found == ["The model's archive is in the bucket theirs, which is none of the stage's."]


@pytest.mark.parametrize(
    "address", ["s3://ours/models/a.tar.gz", "https://ours.s3.us-east-1.amazonaws.com/a.tar.gz"]
)
def test_an_archive_in_the_artifact_bucket_is_let_pass(address: str) -> None:
    assert of("archive-elsewhere", BUCKET, model(model_data_url=address)) == []


def test_captures_into_another_bucket_are_found() -> None:
    assert len(of("capture-elsewhere", BUCKET, configuration(capture="s3://theirs/captures"))) == 1
    assert of("capture-elsewhere", BUCKET, configuration(capture="s3://ours/captures")) == []


def test_a_container_that_reaches_the_internet_is_found_in_prod() -> None:
    assert len(of("open-container-network", model(isolated=False))) == 1
    assert of("open-container-network", model(isolated=False, vpc=[{"subnets": ["a"]}])) == []
    assert of("open-container-network", model(isolated=False), stage="dev") == []


def test_disks_without_the_key_that_the_stage_has_are_found() -> None:
    with_key = {"artifacts": {"kms_key_arn": KEY}}
    for kind in ("ml.m5.large", "ml.p3.2xlarge"):
        assert len(of("volume-without-declared-key", configuration(kind), **with_key)) == 1
    assert of("volume-without-declared-key", configuration()) == []
    assert of("volume-without-declared-key", configuration(key=KEY), **with_key) == []


@pytest.mark.parametrize(
    "kind", ["ml.m5d.large", "ml.c6gd.xlarge", "ml.g5.xlarge", "ml.p4d.24xlarge", "ml.inf2.xlarge"]
)
def test_disks_that_take_no_key_are_let_pass(kind: str) -> None:
    assert of("volume-without-declared-key", configuration(kind), artifacts={"kms_key_arn": KEY}) == []


def test_a_stacks_endpoint_configuration_is_looked_at_too() -> None:
    properties = {"ProductionVariants": [{"InstanceType": "ml.m5.large"}]}
    template = {
        "Resources": {"Configuration": {"Type": "AWS::SageMaker::EndpointConfig", "Properties": properties}}
    }
    stack = resource("aws_cloudformation_stack.this", {"template_body": json.dumps(template)})
    assert len(of("volume-without-declared-key", stack, artifacts={"kms_key_arn": KEY})) == 1
    properties["KmsKeyId"] = [{}]
    stack = resource("aws_cloudformation_stack.this", {"template_body": json.dumps(template)})
    assert of("volume-without-declared-key", stack, artifacts={"kms_key_arn": KEY}) == []


def test_plain_traffic_between_containers_is_found_where_there_are_several() -> None:
    def job(instances: int, encrypted: bool) -> Resource:
        return resource(
            "aws_sagemaker_data_quality_job_definition.this",
            {
                "job_resources": [{"cluster_config": [{"instance_count": instances}]}],
                "network_config": [{"enable_inter_container_traffic_encryption": encrypted}],
            },
        )

    assert len(of("plain-traffic-between-containers", job(2, False))) == 1
    assert of("plain-traffic-between-containers", job(2, True)) == []
    assert of("plain-traffic-between-containers", job(1, False)) == []


@pytest.mark.parametrize("reserved", [None, -1])
def test_a_function_without_a_bound_is_found_in_prod(reserved: int | None) -> None:
    function = resource("aws_lambda_function.this", {"reserved_concurrent_executions": reserved})
    assert len(of("unreserved-concurrency", function)) == 1
    assert of("unreserved-concurrency", function, stage="dev") == []


def test_a_function_with_a_bound_is_let_pass() -> None:
    assert (
        of(
            "unreserved-concurrency",
            resource("aws_lambda_function.this", {"reserved_concurrent_executions": 50}),
        )
        == []
    )


def scaled(maximum: int) -> Resource:
    return resource(
        "aws_appautoscaling_target.this",
        {"resource_id": "endpoint/kennel/variant/primary", "min_capacity": 1, "max_capacity": maximum},
    )


@pytest.mark.parametrize(
    "alarm",
    [
        {"dimensions": {"EndpointName": "kennel"}},
        {
            "dimensions": None,
            "metric_query": [{"metric": [{"dimensions": {"EndpointName": "kennel"}}]}, {"metric": []}],
        },
    ],
)
def test_an_endpoint_that_scales_under_an_alarm_is_let_pass(alarm: dict[str, Any]) -> None:
    watched = resource(
        "aws_cloudwatch_metric_alarm.this", {"alarm_name": "slow", "alarm_actions": ["arn"], **alarm}
    )
    assert of("scaling-without-alarm", scaled(4), watched) == []


def test_an_endpoint_that_scales_without_an_alarm_is_found() -> None:
    assert len(of("scaling-without-alarm", scaled(4))) == 1
    assert of("scaling-without-alarm", scaled(1)) == []


def test_the_alarms_of_scaling_itself_watch_nothing() -> None:
    own = resource(
        "module.autoscaling[0].aws_cloudwatch_metric_alarm.this", {"dimensions": {"EndpointName": "kennel"}}
    )
    assert len(of("scaling-without-alarm", scaled(4), own)) == 1


def trust(service: str, **condition: Any) -> Resource:
    statement = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": service},
        **condition,
    }
    return resource("aws_iam_role.this", {"assume_role_policy": json.dumps({"Statement": [statement]})})


def test_a_role_that_serves_other_accounts_is_found() -> None:
    assert of("role-without-source", trust("sagemaker.amazonaws.com")) == [
        "sagemaker.amazonaws.com may assume the role for anybody's resources, not for this account's alone."
    ]


@pytest.mark.parametrize("key", ["aws:SourceAccount", "aws:SourceArn", "AWS:sourceaccount"])
def test_a_role_bound_to_a_source_is_let_pass(key: str) -> None:
    assert (
        of(
            "role-without-source",
            trust("sagemaker.amazonaws.com", Condition={"StringEquals": {key: ACCOUNT}}),
        )
        == []
    )


@pytest.mark.parametrize("service", ["ec2.amazonaws.com", "lambda.amazonaws.com"])
def test_services_that_name_no_source_are_let_pass(service: str) -> None:
    assert of("role-without-source", trust(service)) == []


def tls_only(**changed: Any) -> Resource:
    statement = {
        "Effect": "Deny", "Action": "s3:*", "Principal": "*", "Resource": ["arn:aws:s3:::ours", "arn:aws:s3:::ours/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}}, **changed,
    }  # fmt: skip
    return resource(
        "aws_s3_bucket_policy.ours", {"bucket": "ours", "policy": json.dumps({"Statement": [statement]})}
    )


def test_a_bucket_without_a_policy_is_found() -> None:
    assert of("bucket-without-tls", BUCKET) == ["The bucket ours takes requests without TLS."]


@pytest.mark.parametrize(
    "changed",
    [
        {"Effect": "Allow"},
        {"Action": "s3:GetObject"},
        {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}},
        {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        {
            "Condition": {
                "Bool": {"aws:SecureTransport": "false"},
                "StringEquals": {"aws:PrincipalAccount": "1"},
            }
        },
        {"Condition": {}},
        {"Resource": "arn:aws:s3:::ours/public/*"},
    ],
)
def test_a_bucket_whose_policy_refuses_too_little_is_found(changed: dict[str, Any]) -> None:
    assert len(of("bucket-without-tls", BUCKET, tls_only(**changed))) == 1


def test_a_bucket_that_refuses_plain_requests_is_let_pass() -> None:
    assert of("bucket-without-tls", BUCKET, tls_only()) == []


def test_a_bucket_whose_policy_is_not_known_yet_is_let_pass() -> None:
    unknown = resource("aws_s3_bucket_policy.ours", {}, bucket=True, policy=True)
    assert of("bucket-without-tls", BUCKET, unknown) == []


@pytest.mark.parametrize("days", [None, 0])
def test_logs_that_are_kept_for_ever_are_found(days: int | None) -> None:
    group = resource("aws_cloudwatch_log_group.this", {"name": "/aws/x", "retention_in_days": days})
    assert of("logs-forever", group) == ["The log group /aws/x is kept for ever."]


def test_an_alarm_that_tells_nobody_is_found_in_prod() -> None:
    def alarm(actions: list[str], **unknown: Any) -> Resource:
        return resource(
            "aws_cloudwatch_metric_alarm.this", {"alarm_name": "slow", "alarm_actions": actions}, **unknown
        )

    assert of("silent-alarm", alarm([])) == ["The alarm slow does nothing and tells nobody."]
    assert of("silent-alarm", alarm([]), stage="dev") == []
    assert of("silent-alarm", alarm(["arn:aws:sns:topic"])) == []
    assert of("silent-alarm", alarm([], alarm_actions=True)) == []


def test_a_topic_that_nobody_reads_is_found() -> None:
    topic = resource("aws_sns_topic.alarms", {"name": "alarms"})
    reader = resource("aws_sns_topic_subscription.emails", {"endpoint": "ops@example.com"})
    assert of("alarms-without-readers", topic) == ["Nobody has subscribed to alarms: alarms reach nobody."]
    assert of("alarms-without-readers", topic, reader) == []


def test_what_does_not_bear_the_stages_tag_is_found() -> None:
    assert (
        len(of("untagged", resource("aws_sns_topic.x", {"name": "x", "tags_all": {"project": "kennel"}})))
        == 1
    )
    assert (
        of(
            "untagged",
            resource("aws_sns_topic.x", {"name": "x", "tags_all": {"kennel:stage": "kennel-prod"}}),
        )
        == []
    )
    assert of("untagged", resource("aws_sns_topic.x", {"name": "x"}, tags_all=True)) == []


@pytest.mark.parametrize(
    "variables",
    [
        {"DB_PASSWORD": PLANTED},
        {"SETTINGS": f"https://user:{PLANTED}@example.com"},
        {"ACCESS": "AKIA" + "A" * 16},
    ],
)
def test_a_secret_among_variables_is_found_and_not_told(variables: dict[str, str]) -> None:
    function = resource(
        "aws_lambda_function.this",
        {"environment": [{"variables": variables}], "reserved_concurrent_executions": 1},
    )
    (name,) = variables
    for one in (function, model(environment=variables)):
        found = judge(plan(one))
        assert [(each.id, each.severity) for each in found] == [("secret-in-plain-text", "critical")]
        assert name in found[0].text
        assert variables[name] not in repr(found)
        assert PLANTED not in repr(found)


def test_the_address_of_a_secret_is_no_secret() -> None:
    address = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:db"
    assert of("secret-in-plain-text", model(environment={"DB_PASSWORD": address, "LOG_LEVEL": "INFO"})) == []


@pytest.mark.parametrize("encoded", [False, True])
def test_a_secret_in_a_machines_script_is_found(encoded: bool) -> None:
    script = f"#!/bin/sh\nexport API_TOKEN={PLANTED}\n"
    text = base64.b64encode(script.encode()).decode() if encoded else script
    found = of("secret-in-plain-text", resource("aws_instance.this", {"user_data": text}))
    assert found == ["user_data holds what looks like a secret, for everybody who may look at it."]
    assert (
        of("secret-in-plain-text", resource("aws_instance.this", {"user_data": "#!/bin/sh\necho hello\n"}))
        == []
    )


@pytest.mark.parametrize(
    ("action", "changed"), [("create", True), ("update", True), ("replace", True), ("keep", False)]
)
def test_a_finding_tells_whether_the_plan_changes_what_it_is_about(action: str, changed: bool) -> None:
    (found,) = judge(plan(model(action=action, isolated=False)))
    assert found.changed is changed


def test_what_goes_breaks_no_rule() -> None:
    assert judge(plan(resource("aws_s3_bucket.artifacts", {}, "destroy"))) == []


def test_each_rules_id_is_its_own_and_each_names_a_remedy() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    assert all(rule.remedy.endswith(".") for rule in RULES)


def test_the_documentation_tells_each_rule_with_its_severity() -> None:
    told = (ROOT / "docs" / "policy.md").read_text()
    assert [rule.id for rule in RULES if f"| `{rule.id}` | {rule.severity} |" not in told] == []
