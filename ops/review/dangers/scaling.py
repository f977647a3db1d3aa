"""What changes how many instances serve, and how soon more do."""

from __future__ import annotations

from collections.abc import Iterator

from ops import update
from ops.fleet import CONFIGURATION
from ops.review.dangers.rule import Hit, Scene, rule
from ops.review.resources import Resource, first

TARGET, POLICY = "aws_appautoscaling_target", "aws_appautoscaling_policy"
VARIANT = ("production_variants", 0)
TRACKING = ("target_tracking_scaling_policy_configuration", 0)
SHORT_COOLDOWN = 60  # seconds: below it, a lull between two requests takes an instance away
LARGE, LEAP = 10, 5  # instances; times what it was


@rule(
    "count-reset",
    "danger",
    when="an update starts with fewer instances than were scaled out.",
    why=(
        "The new fleet has to take the whole load that the old one was scaled out for, until scaling has "
        "caught up."
    ),
    remedy=(
        "Set endpoint.instance_count to what serves now; where it scales, plan with ./inv plan, which hands the "
        "live count on."
    ),
)
def count_reset(scene: Scene) -> Iterator[Hit]:
    for one, begins, live in _fewer(scene):
        applied = one.was(*VARIANT, "initial_instance_count") or 0
        if live > applied and not _limited(scene, begins):
            yield (
                one.address,
                f"{live} instances serve now, scaled out from {applied}; the update starts with {begins}.",
            )


@rule(
    "fewer-instances",
    "warning",
    when="an update starts with fewer instances than serve, as it is declared.",
    why="Each instance then takes a larger share of the load; one alone has no other to stand in for it.",
    remedy="Look at the load first: ./inv load --capacity tells what an instance takes.",
)
def fewer(scene: Scene) -> Iterator[Hit]:
    for one, begins, live in _fewer(scene):
        if live <= (one.was(*VARIANT, "initial_instance_count") or 0):
            yield one.address, f"{live} instances serve now; {begins} will."


@rule(
    "scaled-type-changed",
    "danger",
    when="the instance type of an endpoint changes that is registered for scaling.",
    why=(
        "SageMaker refuses that, and so scaling is taken away first and put back at the end: whatever the "
        "load, nothing scales meanwhile."
    ),
    remedy=(
        "Apply it with ./inv apply, which does so in the right order, in a quiet hour; a plain `terraform "
        "apply` fails halfway."
    ),
)
def type_changed(scene: Scene) -> Iterator[Hit]:
    target = first(scene.of(TARGET), lambda one: bool(one.before) and bool(one.after))
    fleet = scene.facts.fleet
    for one in scene.of(CONFIGURATION):
        after = one.will(*VARIANT, "instance_type")
        before = (fleet.instance_type if fleet else None) or one.was(*VARIANT, "instance_type")
        if (
            target is not None
            and before
            and after
            and before != after
            and one.action in {"create", "replace"}
        ):
            yield (
                one.address,
                f"The instances become {after}, now {before}, while the endpoint is registered for scaling.",
            )


@rule(
    "scaling-removed",
    "danger",
    when="scaling is taken away from an endpoint that stays, as a whole or by its last policy.",
    why=(
        "The number of instances stays what it is, whatever the load: too few in the day, paid for all night."
    ),
    remedy="Keep `autoscaling`, with min_instances = max_instances if the number is to stay.",
)
def removed(scene: Scene) -> Iterator[Hit]:
    stays = any(one.action in {"keep", "update"} for one in scene.of("aws_sagemaker_endpoint"))
    targets, policies = scene.of(TARGET), scene.of(POLICY)
    for one in targets:
        if one.action == "destroy" and stays:
            left = f": {scene.live} instances for good" if scene.live else ""
            yield one.address, f"Nothing scales {one.called('resource_id')} any more{left}."
    if policies and all(one.action == "destroy" for one in policies) and any(one.after for one in targets):
        yield (
            policies[0].address,
            "The limits stay, but no policy is left that would move the number of instances.",
        )


@rule(
    "max-below-live",
    "danger",
    when="the upper limit of scaling falls below the number of instances that serve now.",
    why="Application Auto Scaling goes down to the limit, under the load that called for the instances.",
    remedy="Wait for a quiet hour, or set autoscaling.max_instances to what serves now at least.",
)
def max_below_live(scene: Scene) -> Iterator[Hit]:
    for one, low, high in _limits(scene):
        if (
            scene.live is not None
            and high is not None
            and high < scene.live
            and one.was("max_capacity") != high
        ):
            yield one.address, f"{scene.live} instances serve now; at most {high} may ({low} at least)."


@rule(
    "max-leaps",
    "danger",
    when=f"the upper limit of scaling becomes {LEAP} times what it was or more, and {LARGE} or more.",
    why=(
        "A burst of requests, or somebody's loop, may then run up that many times the bill before anybody "
        "looks."
    ),
    remedy="Raise it in steps, or put an alarm on the cost first.",
)
def max_leaps(scene: Scene) -> Iterator[Hit]:
    for one, _, high in _limits(scene):
        before = one.was("max_capacity")
        if before and high and high >= LARGE and high >= LEAP * before:
            yield one.address, f"At most {high} instances instead of {before}."


@rule(
    "min-lowered-to-one",
    "warning",
    when="the lower limit of scaling falls to one.",
    why="One instance is in one zone: while it is replaced or its zone is down, nobody is answered.",
    remedy="Keep min_instances = 2 where people rely on the answers.",
)
def min_lowered(scene: Scene) -> Iterator[Hit]:
    for one, low, _ in _limits(scene):
        before = one.was("min_capacity")
        if before and low is not None and low <= 1 < before:
            yield one.address, f"At least {low} instance{'s' * (low != 1)} instead of {before}."


@rule(
    "scale-in-hasty",
    "warning",
    when=(
        f"the pause before an instance is taken away becomes shorter, and less than {SHORT_COOLDOWN} seconds."
    ),
    why="A lull of a minute then takes instances away that take five minutes to come back.",
    remedy="Leave autoscaling.scale_in_cooldown_seconds at some minutes: scaling in late costs cents.",
)
def hasty(scene: Scene) -> Iterator[Hit]:
    for one in scene.of(POLICY):
        before, after = one.was(*TRACKING, "scale_in_cooldown"), one.will(*TRACKING, "scale_in_cooldown")
        if before is not None and after is not None and after < before and after < SHORT_COOLDOWN:
            yield one.address, f"{after} s between scaling in and scaling in again, instead of {before} s."


@rule(
    "scale-in-off",
    "warning",
    when="scaling in is switched off.",
    why="What was scaled out once is paid for until somebody takes it away by hand.",
    remedy="Leave autoscaling.disable_scale_in = false, or note when to switch it on again.",
)
def never_in(scene: Scene) -> Iterator[Hit]:
    for one in scene.of(POLICY):
        if one.becomes(*TRACKING, "disable_scale_in") == (False, True):
            yield one.address, "Instances are added, and never taken away."


@rule(
    "scaling-reaction",
    "note",
    when="a scaling policy is made or changed whose cooldown is shorter than scaling takes anyway.",
    why="The alarm needs minutes and an instance more: a cooldown below that does nothing.",
    remedy=(
        "For a sooner reaction take the high-resolution metric, or a lower target: docs/scaling.md has "
        "the figures."
    ),
)
def reaction(scene: Scene) -> Iterator[Hit]:
    if scene.facts.update is not None:
        return  # it is told with the update
    for one in scene.of(POLICY):
        tracking = one.will(*TRACKING)
        metric = ("predefined_metric_specification", 0, "predefined_metric_type")
        told = [(*TRACKING, *path) for path in (metric, ("scale_out_cooldown",), ("target_value",))]
        same = one.before and all(one.was(*path) == one.will(*path) for path in told)
        if tracking is not None and not same and all(one.will(*path) is not None for path in told[:2]):
            yield one.address, update.reaction(tracking)


@rule(
    "quota-short",
    "danger",
    when=(
        "the account's quota for the instance type is below what the update needs, the old fleet and the "
        "new one at once."
    ),
    why="SageMaker refuses the update with ResourceLimitExceeded, halfway through the apply.",
    remedy=(
        "Have the quota raised (Service Quotas, Amazon SageMaker, the type for endpoint usage), or take "
        "another type."
    ),
)
def quota_short(scene: Scene) -> Iterator[Hit]:
    for one in scene.of(CONFIGURATION):
        kind, count = one.will(*VARIANT, "instance_type"), one.will(*VARIANT, "initial_instance_count")
        quota = scene.facts.account.quotas.get(f"{kind} for endpoint usage")
        if one.action in {"create", "replace"} and quota is not None and count:
            used = quota.used if quota.used is not None else _own(scene, kind)
            if used + count > quota.limit:
                yield (
                    one.address,
                    f"{count} new {kind} beside the {used:.0f} in use are more than the quota of {quota.limit:.0f}.",
                )


@rule(
    "quota-short-at-max",
    "warning",
    when=(
        "the quota is below twice the upper limit of scaling: a fleet at its limit, and its successor "
        "during an update."
    ),
    why="Scaling stops at the quota, not at the limit; an update at full load fails.",
    remedy="Have the quota raised to twice autoscaling.max_instances.",
)
def quota_short_at_max(scene: Scene) -> Iterator[Hit]:
    config = first(scene.of(CONFIGURATION), lambda one: bool(one.after))
    for one, _, high in _limits(scene):
        kind = config.will(*VARIANT, "instance_type") if config else None
        quota = scene.facts.account.quotas.get(f"{kind} for endpoint usage")
        if quota is not None and high and high != one.was("max_capacity"):
            others = max(0, (quota.used or 0) - _own(scene, kind))
            if others + 2 * high > quota.limit:
                yield (
                    one.address,
                    f"Up to {2 * high} {kind} during an update at the limit; the quota is {quota.limit:.0f}.",
                )


def _own(scene: Scene, kind: str | None) -> int:
    fleet = scene.facts.fleet
    return fleet.wanted if fleet and fleet.instance_type == kind else 0


def _fewer(scene: Scene) -> Iterator[tuple[Resource, int, int]]:
    """Yield a new configuration of the endpoint with the count that it begins with, where more serve now."""
    for one in scene.of(CONFIGURATION):
        begins = one.will(*VARIANT, "initial_instance_count")
        if one.action in {"create", "replace"} and scene.live is not None and begins and begins < scene.live:
            yield one, int(begins), scene.live


def _limits(scene: Scene) -> Iterator[tuple[Resource, int | None, int | None]]:
    for one in scene.of(TARGET):
        if one.after and one.action != "keep":
            yield one, one.will("min_capacity"), one.will("max_capacity")


def _limited(scene: Scene, begins: int) -> bool:
    """Tell whether it is the upper limit that takes the instances away, which is told of already."""
    return any(high == begins for one, _, high in _limits(scene) if one.was("max_capacity") != high)
