"""Changes of rights that need a second look; all of them are told in words besides."""

from __future__ import annotations

from collections.abc import Iterator

from ops.review import holders, rights
from ops.review.dangers.rule import Hit, Scene, rule
from ops.review.dangers.storage import TLS


def _of(
    scene: Scene, kind: rights.Kind, *, fresh: bool = False, but: frozenset[str] = frozenset()
) -> Iterator[Hit]:
    """Yield what widens in this way; what the plan makes anew only where `fresh`."""
    for change in scene.rights:
        if change.widens and change.kind == kind and (fresh or not change.fresh) and not change.keys & but:
            yield change.address, f"{change.who[0].upper()}{change.who[1:]} {change.text}."


@rule(
    "rights-public",
    "danger",
    when=(
        "anybody on the internet may do something: a policy with the principal *, or a function URL "
        "without authorization."
    ),
    why="It takes no credentials at all: strangers read, or run up the bill, until somebody notices.",
    remedy='Name the roles or accounts that need it; a function URL keeps authorization_type = "AWS_IAM".',
)
def public(scene: Scene) -> Iterator[Hit]:
    yield from _of(scene, "public", fresh=True)


@rule(
    "rights-other-account",
    "danger",
    when="somebody in another AWS account may do something.",
    why="Who that is, is up to the other account from then on.",
    remedy=(
        "See that the account is yours or a partner's, name the one role that needs it, and put a "
        "condition on it."
    ),
)
def other_account(scene: Scene) -> Iterator[Hit]:
    yield from _of(scene, "account", fresh=True)


@rule(
    "rights-everything",
    "danger",
    when=(
        "a role may do everything, or everything in a service, with everything; or gets one of AWS's "
        "broad policies."
    ),
    why=(
        "Whoever gets hold of the role's credentials, such as a dependency in a container, has the account."
    ),
    remedy="Name the actions and resources that are needed: modules/iam has one statement for each.",
)
def everything(scene: Scene) -> Iterator[Hit]:
    yield from _of(scene, "admin", fresh=True)


@rule(
    "rights-escalation",
    "danger",
    when=(
        "a role gets a right with which it can give itself others: hand over roles, write policies, "
        "change keys' policies."
    ),
    why="It then may do, in two steps, what nobody granted it.",
    remedy="Leave that to the role that applies plans, or narrow it to one role and one service.",
)
def escalation(scene: Scene) -> Iterator[Hit]:
    yield from _of(scene, "escalation")


@rule(
    "rights-wildcard",
    "danger",
    when=(
        "a right that was for some resources or actions becomes one for many, by a *; or NotAction or "
        "NotResource grants it."
    ),
    why="It covers what is there and what will ever be there, other stages' and other teams' included.",
    remedy="Name the resources, or a prefix of the stage's own.",
)
def wildcard(scene: Scene) -> Iterator[Hit]:
    yield from _of(scene, "wildcard")


@rule(
    "rights-condition-removed",
    "danger",
    when="a right loses a condition that held it in.",
    why="The condition was what kept others, or other purposes, from using it.",
    remedy="Put the condition back, or say in the change why it is not needed.",
)
def condition(scene: Scene) -> Iterator[Hit]:
    yield from _of(scene, "condition")


@rule(
    "rights-deny-removed",
    "danger",
    when="a policy no longer forbids something.",
    why="A Deny holds whatever else is allowed: with it goes what nobody else may undo.",
    remedy="Put the Deny back, or say in the change why it is not needed.",
)
def deny(scene: Scene) -> Iterator[Hit]:
    yield from _of(scene, "deny", but=frozenset(TLS))  # which has a rule of its own


@rule(
    "boundary-removed",
    "danger",
    when="a permissions boundary is taken from a role, or another takes its place.",
    why="The boundary is what keeps a role within bounds whatever its policies say.",
    remedy="Keep permissions_boundary_arn.",
)
def boundary(scene: Scene) -> Iterator[Hit]:
    changed = [change for change in scene.rights if change.kind == "boundary"]
    for text in dict.fromkeys(change.text for change in changed):
        alike = [change for change in changed if change.text == text]
        who = rights.together(change.who for change in alike)
        yield alike[0].address, f"{who[0].upper()}{who[1:]} {text}."


@rule(
    "rights-unknown",
    "warning",
    when=(
        "a policy becomes what only the apply will know, because something that it names is made by it, or what "
        "Terraform calls sensitive."
    ),
    why="Somebody may then do more than before, and no rule here would have seen it.",
    remedy="Read the policy in the diff of terraform/, or apply in two steps: what it names first.",
)
def unknown(scene: Scene) -> Iterator[Hit]:
    found = rights.unknown(scene.resources)
    if found:
        whose = rights.together(map(holders.who, found))
        yield found[0].address, f"What the policy of {whose} will allow cannot be told from the plan."


@rule(
    "rights-widened",
    "warning",
    when="somebody may do something more than before, on resources that are named.",
    why="Rights are easier given than taken back.",
    remedy="See who may do what, below, and that the change says what needs it.",
)
def widened(scene: Scene) -> Iterator[Hit]:
    more = [
        change for change in scene.rights if change.widens and change.kind == "plain" and not change.fresh
    ]
    if more:
        text = f"{rights.together(change.who for change in more)} may do more than before."
        yield more[0].address, text[0].upper() + text[1:]
