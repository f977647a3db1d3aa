"""The training instance and the notebook, whose disks hold people's work."""

from __future__ import annotations

from collections.abc import Iterator

from ops.review.dangers.rule import Hit, Scene, rule

INSTANCE, NOTEBOOK = "aws_instance", "aws_sagemaker_notebook_instance"


@rule(
    "training-disk-lost",
    "danger",
    when="the training instance is replaced or destroyed.",
    why="Its disk goes with it: photos, features and checkpoints, and the training that runs.",
    remedy="Copy what is needed to the bucket first, or keep what forces it.",
)
def instance(scene: Scene) -> Iterator[Hit]:
    for one in scene.of(INSTANCE):
        if one.goes:
            yield one.address, f"The instance {one.called('id')} is {_how(one.action)}, with its disk."


@rule(
    "notebook-lost",
    "danger",
    when="the notebook is replaced or destroyed.",
    why="Its disk goes with it: notebooks that are in no repository are lost.",
    remedy="Have people save their work first, or keep what forces it.",
)
def notebook(scene: Scene) -> Iterator[Hit]:
    for one in scene.of(NOTEBOOK):
        if one.goes:
            yield one.address, f"The notebook {one.called('name')} is {_how(one.action)}, with its disk."


@rule(
    "metadata-v1",
    "danger",
    when="an instance answers requests for its credentials without a token (IMDSv1).",
    why=(
        "A program that can be made to fetch an address, as one that loads photos by URL can, then gives "
        "away the role's credentials."
    ),
    remedy='Keep http_tokens = "required".',
)
def metadata(scene: Scene) -> Iterator[Hit]:
    for one in scene.of(INSTANCE):
        path = ("metadata_options", 0, "http_tokens")
        if one.after and one.will(*path) == "optional" and one.was(*path) != "optional":
            yield one.address, "Credentials are given to whoever asks on the instance, without a token."
    for one in scene.of(NOTEBOOK):
        path = ("instance_metadata_service_configuration", 0, "minimum_instance_metadata_service_version")
        if one.before and one.was(*path) == "2" and one.after and one.will(*path) != "2":
            yield one.address, "Credentials are given to whoever asks in the notebook, without a token."


@rule(
    "machine-restarted",
    "warning",
    when="the training instance or the notebook is stopped and started for a change.",
    why="What runs on it ends: a training, a kernel with its variables.",
    remedy="Apply it when nothing runs: ./inv jobs tells.",
)
def restarted(scene: Scene) -> Iterator[Hit]:
    names = {
        INSTANCE: ("instance_type", "user_data", "ebs_optimized"),
        NOTEBOOK: ("instance_type", "volume_size", "root_access", "lifecycle_config_name", "role_arn"),
    }
    for one in scene.of(INSTANCE, NOTEBOOK):
        for name in names[one.type]:
            if one.action == "update" and (pair := one.becomes(name)):
                told = f": {pair[0]} → {pair[1]}" if name in {"instance_type", "volume_size"} else ""
                yield (
                    one.address,
                    f"It is stopped and started, because its {name.replace('_', ' ')} changes{told}.",
                )
                break


@rule(
    "notebook-opened",
    "warning",
    when="the notebook gets root rights, or a way to the internet of its own.",
    why="What runs in it may then change the machine, or send photos anywhere.",
    remedy="Keep notebook.root_access and notebook.direct_internet_access off.",
)
def notebook_opened(scene: Scene) -> Iterator[Hit]:
    for one in scene.of(NOTEBOOK):
        for name, what in (
            ("root_access", "root rights"),
            ("direct_internet_access", "a way to the internet"),
        ):
            if one.becomes(name) == ("Disabled", "Enabled"):
                yield one.address, f"The notebook gets {what}."


def _how(action: str) -> str:
    return "replaced by a new one" if action == "replace" else "destroyed"
