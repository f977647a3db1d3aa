"""What may keep callers from the function, or let in who should not be."""

from __future__ import annotations

from collections.abc import Iterator

from ops.review.dangers.rule import Hit, Scene, rule
from ops.review.resources import first

FUNCTION, ALIAS, URL = "aws_lambda_function", "aws_lambda_alias", "aws_lambda_function_url"
MUST_STAY_FREE = 100  # of the account's concurrency, AWS's own rule


@rule(
    "function-destroyed",
    "danger",
    when="the function is destroyed or replaced.",
    why=(
        "Callers get an error until there is one again, and never again one under the old name if it was "
        "renamed."
    ),
    remedy="Keep its name and its package type; everything else is changed in place.",
)
def destroyed(scene: Scene) -> Iterator[Hit]:
    for one in scene.of(FUNCTION):
        if one.goes:
            how = "replaced: the old one goes first" if one.action == "replace" else "destroyed"
            yield one.address, f"The function {one.called('function_name')} is {how}."


@rule(
    "callers-cut-off",
    "danger",
    when="the alias or the URL that callers use goes, or becomes another, while the function stays.",
    why=(
        "Callers name the alias, or have the URL in their settings: a new URL is another address, and the "
        "old one answers no more."
    ),
    remedy="Keep it until nobody calls it: the function's metrics by alias tell.",
)
def cut_off(scene: Scene) -> Iterator[Hit]:
    if not first(scene.of(FUNCTION), lambda one: bool(one.before) and not one.goes):
        return
    for one in scene.of(ALIAS, URL):
        if one.goes:
            what = f"alias {one.called('name')}" if one.type == ALIAS else f"URL {one.called('function_url')}"
            yield (
                one.address,
                f"The {what} is {'destroyed' if one.action == 'destroy' else 'replaced by another'}.",
            )


@rule(
    "concurrency-short",
    "danger",
    when=(
        f"the function reserves so much concurrency that the account keeps less than {MUST_STAY_FREE} for "
        f"all other functions."
    ),
    why=f"AWS refuses to leave less than {MUST_STAY_FREE} unreserved: the apply fails there, halfway.",
    remedy="Reserve less (lambda.reserved_concurrency, -1 for none), or have the account's limit raised.",
)
def concurrency_short(scene: Scene) -> Iterator[Hit]:
    account = scene.facts.account
    for one in scene.of(FUNCTION):
        wanted = one.will("reserved_concurrent_executions")
        if account.unreserved is None or not one.after or wanted is None or one.action == "keep":
            continue
        more = max(wanted, 0) - account.reserved_here
        if more > 0 and account.unreserved - more < MUST_STAY_FREE:
            text = f"It reserves {wanted}, {more} more than now; {account.unreserved} are unreserved in the account."
            yield one.address, text


@rule(
    "concurrency-zero",
    "danger",
    when="the function's reserved concurrency becomes 0.",
    why="That switches the function off: every call is throttled.",
    remedy="Set lambda.reserved_concurrency to 50 or more, or to -1.",
)
def concurrency_zero(scene: Scene) -> Iterator[Hit]:
    for one in scene.of(FUNCTION):
        before, after = (get("reserved_concurrent_executions") for get in (one.was, one.will))
        if one.before and after == 0 and before != 0:
            was = "none was reserved" if before in {-1, None} else f"{before} were"
            yield one.address, f"The function {one.called('function_name')} may run 0 times at once; {was}."


@rule(
    "provisioned-removed",
    "note",
    when="concurrency that was kept warm goes.",
    why="The first calls after a pause wait for a cold start.",
    remedy="Keep lambda.provisioned_concurrency where a slow first answer matters.",
)
def provisioned(scene: Scene) -> Iterator[Hit]:
    for one in scene.of("aws_lambda_provisioned_concurrency_config"):
        if one.action == "destroy":
            yield one.address, f"{one.was('provisioned_concurrent_executions')} were kept warm."
