"""What may stop the endpoint from answering, or make it answer worse."""

from __future__ import annotations

from collections.abc import Iterator

from ops.fleet import CONFIGURATION, STACK
from ops.review import models
from ops.review.dangers.rule import Hit, Scene, rule
from ops.review.resources import Resource, first

ENDPOINT = "aws_sagemaker_endpoint"
MODEL = "aws_sagemaker_model"
VARIANT = ("production_variants", 0)


@rule(
    "endpoint-destroyed",
    "danger",
    when="the endpoint is destroyed.",
    why="Nobody is answered any more, and the function in front of it fails at every call.",
    remedy=(
        "Apply it only when nobody asks the endpoint. If it was not meant: is the stage's model file there?"
    ),
)
def destroyed(scene: Scene) -> Iterator[Hit]:
    for one in scene.of(ENDPOINT, STACK):
        if one.action == "destroy":
            yield one.address, f"The endpoint {one.called('name')} is destroyed{_with(scene)}."


@rule(
    "endpoint-replaced",
    "danger",
    when="the endpoint is replaced rather than updated.",
    why=(
        "The old one goes first, and nobody is answered until the new one is in service, ten minutes or "
        "so later."
    ),
    remedy=(
        "Keep what forces it, its name above all, or whether alarms undo an update "
        "(endpoint.deployment.rollback_on_alarms); an update keeps the old instances until the new ones answer."
    ),
)
def replaced(scene: Scene) -> Iterator[Hit]:
    for one in scene.of(ENDPOINT, STACK):
        if one.action == "replace":
            pair = one.becomes("name")
            how = (
                f"is renamed from {pair[0]} to {pair[1]}, and so replaced"
                if pair
                else "is replaced, not updated"
            )
            yield (
                one.address,
                f"The endpoint {how if pair else one.called('name') + ' ' + how}{_with(scene)}.",
            )


@rule(
    "in-use-goes-first",
    "danger",
    when="the endpoint's configuration or model is deleted before the endpoint has moved to the new one.",
    why=(
        "The instances that serve meanwhile cannot be replaced or added, and an update that fails has "
        "nothing to go back to."
    ),
    remedy=(
        "Put `create_before_destroy = true` back into its lifecycle, and give it a name of its own each time."
    ),
)
def in_use(scene: Scene) -> Iterator[Hit]:
    if scene.live is None:
        return
    for one in scene.of(CONFIGURATION, MODEL):
        if one.action == "replace" and not one.create_first and not _same_name(one):
            yield (
                one.address,
                f"{one.called('name')} goes while the endpoint still uses it; the new one comes after.",
            )


@rule(
    "name-reused",
    "danger",
    when="a model, an endpoint configuration or an endpoint is made under a name that is taken.",
    why=(
        "SageMaker refuses the name while the old one is there; with the old one deleted first, the running "
        "endpoint loses what it was made from, and nothing tells the two apart."
    ),
    remedy=(
        "Give each generation a name of its own: `name_prefix`, or an id in the name, as modules/endpoint "
        "does."
    ),
)
def name_reused(scene: Scene) -> Iterator[Hit]:
    taken = {CONFIGURATION: scene.facts.live_configs, MODEL: scene.facts.live_models}
    for one in scene.of(CONFIGURATION, MODEL):
        name = one.will("name")
        if one.action == "replace" and _same_name(one):
            yield one.address, f"The name {name} is used again, while what has it now is in use."
        elif one.action in {"create", "replace"} and name in taken[one.type]:
            yield one.address, f"The name {name} is taken by one that is in the account already."


@rule(
    "model-worse",
    "danger",
    when=(
        "the new model is at least one point of accuracy below the deployed one, as far as their metrics "
        "can be compared."
    ),
    why="Callers get more wrong answers from the moment that the endpoint has moved.",
    remedy=(
        "Look at both reports in runs/, train again, or agree to it knowingly; ./inv rollback goes back."
    ),
)
def worse(scene: Scene) -> Iterator[Hit]:
    before, after = models.accuracy(scene.facts.deployed), models.accuracy(scene.facts.model)
    other_photos = models.on_other_photos(scene.facts.deployed, scene.facts.model)
    if before is None or after is None or other_photos:
        return
    if round(before - after, 6) >= models.NOTEWORTHY:  # 0.94 - 0.93 is a little less than 0.01
        yield _config(scene), f"The test accuracy falls from {before:.1%} to {after:.1%}."


@rule(
    "classes-lost",
    "danger",
    when="the new model does not know a class that the deployed one knows.",
    why=(
        "What is on such photos is told to be something else, and callers who count on a label's number "
        "read another class from it."
    ),
    remedy="Train with all classes, or tell the callers first.",
)
def classes_lost(scene: Scene) -> Iterator[Hit]:
    lost, _ = models.classes(scene.facts.deployed, scene.facts.model)
    if lost:
        some = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
        yield _config(scene), f"Classes that are not known any more: {some}."


@rule(
    "classes-renumbered",
    "warning",
    when="the new model has another number for a class that both know.",
    why="Callers who take the label's number, and not its name, read another class from it.",
    remedy="Tell those callers first; a class that is added as the last one by name moves no other.",
)
def classes_renumbered(scene: Scene) -> Iterator[Hit]:
    moved = models.renumbered(scene.facts.deployed, scene.facts.model)
    if moved:
        name, before, after = moved[0]
        more = f", and {len(moved) - 1} more get another" if len(moved) > 1 else ""
        yield _config(scene), f"{name} becomes number {after} instead of {before}{more}."


@rule(
    "image-by-tag",
    "warning",
    when="the container image is named by a tag where it was named by its digest.",
    why=(
        "Whoever pushes to the tag changes what instances that start later run, with no plan and no review."
    ),
    remedy="Name it by digest (…@sha256:…): ./inv image --push prints the line.",
)
def image_by_tag(scene: Scene) -> Iterator[Hit]:
    for one in scene.of(MODEL):
        before, after = (get("primary_container", 0, "image") or "" for get in (one.was, one.will))
        if "@sha256:" in before and after and "@sha256:" not in after:
            yield one.address, f"The image is {after.rpartition('/')[2]} from now on, by its tag."


@rule(
    "isolation-removed",
    "warning",
    when="the model's containers get a network where they had none.",
    why="What runs in the container, its dependencies included, can then send photos anywhere.",
    remedy="Keep endpoint.network_isolation = true, unless the model has to fetch something.",
)
def isolation(scene: Scene) -> Iterator[Hit]:
    for one in scene.of(MODEL):
        if one.becomes("enable_network_isolation") == (True, False):
            yield one.address, "The containers are no longer cut off from the network."


@rule(
    "requests-recorded",
    "warning",
    when="requests and answers begin to be recorded.",
    why=(
        "Callers' photos are then kept in the artifact bucket, which may need their consent, and costs space."
    ),
    remedy="See that this may be; endpoint.capture_percent is the share.",
)
def recorded(scene: Scene) -> Iterator[Hit]:
    for one in scene.of(CONFIGURATION):
        share = ("data_capture_config", 0, "initial_sampling_percentage")
        if one.before and one.will(*share) and not one.was(*share):
            yield one.address, f"{one.will(*share)} % of the requests are recorded, with their photos."


def _config(scene: Scene) -> str:
    found = first(scene.of(CONFIGURATION, MODEL), lambda one: bool(one.after))
    return found.address if found else "the model"


def _same_name(one: Resource) -> bool:
    return one.will("name") is not None and one.was("name") == one.will("name")


def _with(scene: Scene) -> str:
    """Return what the endpoint is now."""
    live = scene.live
    return (
        ""
        if live is None
        else f"; {live} instance{'s' if live != 1 else ''} of it serve{'s' if live == 1 else ''} now"
    )
