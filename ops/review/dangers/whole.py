"""What is about the plan as a whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from ops.review.dangers.rule import Hit, Scene, rule
from ops.review.spoken import listed
from ops.review.vocabulary import kind_of

EVERYTHING = "everything-destroyed"
TAG = "kennel:stage"
SHARE = 0.8  # of what there is: some parts, such as a data bucket, are left


@rule(
    EVERYTHING,
    "danger",
    when="the plan destroys nearly all that there is, and makes nothing.",
    why="The stage is gone after it, with its logs, its artifacts and the disks of its machines.",
    remedy=(
        "If that is meant, ./inv destroy does it in the right order and proves that nothing is left; do "
        "not apply this plan."
    ),
)
def everything(scene: Scene) -> Iterator[Hit]:
    there = [one for one in scene.resources if one.before]
    gone = [one for one in there if one.action == "destroy"]
    made = any(one.action == "create" for one in scene.resources)
    if gone and not made and len(gone) >= 10 and len(gone) >= SHARE * len(there):
        kinds = {
            "aws_sagemaker_endpoint": "endpoint",
            "aws_lambda_function": "function",
            "aws_s3_bucket": "bucket",
        }
        named = [
            f"the {kinds[one.type]} {one.called('function_name', 'bucket', 'name')}"
            for one in gone
            if one.type in kinds
        ]
        among = f", among them {listed(named)}" if named else ""
        yield "the whole stage", f"{len(gone)} of {len(there)} resources are destroyed{among}."


@rule(
    "forgotten",
    "danger",
    when=(
        "something is taken out of Terraform's state but stays in the account (a `removed` block, or "
        "`state rm`)."
    ),
    why=(
        "It goes on running and costing, and no plan, no `destroy` and no tag check of Terraform's sees "
        "it any more."
    ),
    remedy="Let Terraform destroy it, or write down who looks after it from now on.",
)
def forgotten(scene: Scene) -> Iterator[Hit]:
    for one in scene.resources:
        if one.action == "forget":
            noun = kind_of({"type": one.type, "name": one.name}).noun
            what = f"{noun[0].upper()}{noun[1:]} {one.called('name', 'bucket', 'function_name', 'id')}"
            yield one.address, f"{what} stays as it is, and Terraform forgets it."


@rule(
    "moved",
    "note",
    when="a resource gets another address in the state (a `moved` block).",
    why=(
        "Nothing happens to the resource itself; another plan made from older files would want to make it "
        "again."
    ),
    remedy="Apply this before anybody plans from an older checkout.",
)
def moved(scene: Scene) -> Iterator[Hit]:
    for one in scene.resources:
        if one.moved_from:
            yield one.address, f"It was {one.moved_from}."


@rule(
    "terraform-newer",
    "note",
    when="the state was last written by an earlier version of Terraform (1.9 and 1.10, not 1.9.1 and 1.9.2).",
    why="Whoever has the earlier version may not be able to read the state any more, and an apply cannot be undone.",
    remedy="Have everybody who plans this stage, and its pipeline, take the new version first.",
)
def newer(scene: Scene) -> Iterator[Hit]:
    then, now = scene.facts.state_version, str(scene.facts.plan.get("terraform_version", ""))
    if then and now and _minor(then) < _minor(now):
        yield "the state", f"Terraform {then} wrote the state last; this plan's apply writes it with {now}."


def _minor(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


@rule(
    "stage-tag-changed",
    "danger",
    when=f"the tag {TAG} changes or goes.",
    why=(
        "After a destroy, what was left over is looked for by this tag: what does not carry it is never "
        "found, and goes on costing."
    ),
    remedy=(
        "Leave `prefix` and `stage` as they are; for another stage, make it beside this one and destroy "
        "this one."
    ),
)
def stage_tag(scene: Scene) -> Iterator[Hit]:
    changed = []
    for one in scene.resources:
        if one.action in {"update", "replace"} and one.was("tags_all", TAG) and one.knows("tags_all", TAG):
            pair = one.was("tags_all", TAG), one.will("tags_all", TAG)
            if pair[0] != pair[1]:
                changed.append((one.address, pair))
    for (before, after), number in Counter(pair for _, pair in changed).items():
        address = next(address for address, pair in changed if pair == (before, after))
        more = f" and of {number - 1} more" if number > 1 else ""
        yield address, f"The tag {TAG} of this{more} becomes {after or 'nothing'}; it is {before}."
