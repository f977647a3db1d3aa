"""What would notice that something goes wrong: alarms, and who hears of them."""

from __future__ import annotations

from collections.abc import Iterator

from ops.review.dangers.rule import Hit, Scene, rule
from ops.review.resources import Resource
from ops.review.spoken import listed

ALARM, ENDPOINT, ROLLOUT = "aws_cloudwatch_metric_alarm", "aws_sagemaker_endpoint", "terraform_data"
ROLLBACK = ("deployment_config", 0, "auto_rollback_configuration", 0, "alarms")


@rule(
    "rollback-alarms-removed",
    "danger",
    when="an update of the endpoint is no longer undone by alarms, or by fewer of them.",
    why="A model that fails then serves until somebody notices and goes back by hand.",
    remedy=(
        "Keep endpoint.deployment.rollback_on_alarms = true, and the alarms that it names: without any, the provider "
        "replaces the endpoint. Where they undo what they should not, raise their thresholds for a while "
        "(observability.endpoint_alarms)."
    ),
)
def rollback_alarms(scene: Scene) -> Iterator[Hit]:
    destroyed = {one.called("alarm_name") for one in scene.of(ALARM) if one.goes and not one.after}
    for one in scene.of(ENDPOINT):
        if not one.before or not one.after:
            continue
        before, after = _alarms(one.was(*ROLLBACK)), _alarms(one.will(*ROLLBACK))
        gone = sorted(before - after | (before & destroyed))
        if gone and one.knows("deployment_config"):
            rest = "nothing undoes an update any more" if not after - destroyed else "others still do"
            yield one.address, f"An update is no longer undone by {listed(gone)}: {rest}."


@rule(
    "alarms-removed",
    "warning",
    when="alarms go while what they watch stays.",
    why="What they told of happens unnoticed from then on.",
    remedy="Keep them, or say in the change what takes their place.",
)
def alarms(scene: Scene) -> Iterator[Hit]:
    gone = [one for one in scene.of(ALARM) if one.action == "destroy" and not _of_what_goes(scene, one)]
    if gone:
        yield (
            gone[0].address,
            f"{listed([one.called('alarm_name') for one in gone[:4]])} watch{'es' if len(gone) == 1 else ''} no more.",
        )


@rule(
    "nobody-told",
    "warning",
    when="alarms no longer reach anybody: the topic goes, its last subscription, or the alarms' actions.",
    why="An alarm that nobody hears of changes a colour on a page.",
    remedy="Keep observability.notifications with at least one address.",
)
def nobody_told(scene: Scene) -> Iterator[Hit]:
    for one in scene.of("aws_sns_topic"):
        if one.action == "destroy":
            yield one.address, f"The topic {one.called('name')} goes: no alarm reaches anybody."
            return
    subscriptions = scene.of("aws_sns_topic_subscription")
    if subscriptions and all(one.action == "destroy" for one in subscriptions):
        yield subscriptions[0].address, "The last subscription goes: alarms go to a topic that nobody reads."
        return
    silent = [
        one
        for one in scene.of(ALARM)
        if one.before
        and one.was("alarm_actions")
        and one.after
        and one.knows("alarm_actions")
        and (not one.will("alarm_actions") or one.becomes("actions_enabled") == (True, False))
    ]
    if silent:
        yield (
            silent[0].address,
            f"{len(silent)} alarm{'s' if len(silent) != 1 else ''} no longer tell anybody.",
        )


@rule(
    "alarm-loosened",
    "warning",
    when="an alarm takes twice as much, or twice as long, as before to go off.",
    why="What it is there for is noticed later, or never.",
    remedy="See the metric's course on the dashboard before.",
)
def loosened(scene: Scene) -> Iterator[Hit]:
    for one in scene.of(ALARM):
        if "GreaterThan" not in str(one.will("comparison_operator")):
            continue
        for name, unit in (("threshold", ""), ("evaluation_periods", " periods")):
            pair = one.becomes(name)
            if pair and pair[0] and pair[1] and pair[1] >= 2 * pair[0]:
                yield (
                    one.address,
                    f"{one.called('alarm_name')} goes off at {pair[1]:g}{unit} instead of {pair[0]:g}{unit}.",
                )


def _alarms(blocks: list[dict[str, str]] | None) -> set[str]:
    return {block["alarm_name"] for block in blocks or [] if block.get("alarm_name")}


def _of_what_goes(scene: Scene, alarm: Resource) -> bool:
    going = {
        one.called("function_name", "name") for one in scene.of(ENDPOINT, "aws_lambda_function") if one.goes
    }
    policies = [one for one in scene.of("aws_appautoscaling_policy") if one.goes]
    scales = any(one.was("arn") in (alarm.was("alarm_actions") or []) for one in policies)
    queries = [query.get("metric") or [] for query in alarm.was("metric_query") or []]
    watched = [
        alarm.was("dimensions") or {},
        *(metric.get("dimensions") or {} for of in queries for metric in of),
    ]
    return scales or any(value in going for dimensions in watched for value in dimensions.values())
