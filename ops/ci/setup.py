"""Make what a pipeline works with: its roles, and the archive of a model that a pull request is to deploy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from ml.errors import KennelError
from ops import artifacts, state_bucket
from ops.artifacts import Model
from ops.ci import bundle
from ops.deploy import Say
from ops.paths import TERRAFORM, shown
from ops.policy.exceptions import BOOTSTRAP
from ops.progress import Progress
from ops.review import make
from ops.review.review import Review
from ops.stage import Stage
from ops.terraform import Terraform
from ops.terraform import version as terraform_version

Agree = Callable[[Review], None]  # shows the changes; ends the task where nobody wants them


def variables_file(stage: Stage) -> Path:
    """Return where it stands which pipeline may plan and apply the stage."""
    return TERRAFORM / "stages" / f"{stage.name}.ci.tfvars"


def setup(stage: Stage, say: Say, agree: Agree, *, remove: bool, scan: bool = True) -> dict[str, Any]:
    """Make, change or remove the pipeline's roles; return bootstrap's outputs.

    Raises:
        KennelError: nothing says whose pipeline it is, or the bucket is somebody else's work.
    """
    terraform_version()
    file = variables_file(stage)
    if not remove and not file.is_file():
        raise KennelError(
            "It stands in a file which repository's pipeline may plan and apply a stage.",
            f"no {shown(file)}",
            'Write it: ci = { github = { repository = "ORG/NAME" } }, and commit it. docs/ci.md has the rest.',
        )
    stage.start()
    stage.directory.mkdir(parents=True, exist_ok=True)
    if remove and not state_bucket.exists(stage):
        return {}  # nobody has set anything up
    if state_bucket.ensure(stage):
        say(f"Made the bucket for Terraform's state: {state_bucket.name(stage)}.")
    bootstrap = state_bucket.bootstrap(stage)
    state = bootstrap.state()
    if not state:
        raise KennelError(
            "terraform/bootstrap knows what it has made.",
            f"the bucket {state_bucket.name(stage)}, and no record of it",
            f"Run this where the bucket was made, or bring {shown(stage.directory)}/bootstrap.tfstate here from there.",
        )
    arguments = state_bucket.variables(stage) + ([] if remove else [f"-var-file={file}"])
    plan = stage.directory / "bootstrap.tfplan"
    try:
        with Progress("plan") as progress:
            has_changes = bootstrap.plan(plan, arguments, progress.on_event)
        if has_changes:
            agree(_review(stage, bootstrap, plan, state.get("terraform_version", ""), scan=scan))
            try:
                with Progress("apply") as progress:
                    bootstrap.apply(plan, progress.on_event)
            finally:
                state_bucket.keep_record(stage)  # also of what a failed one has made, for other machines
    finally:
        plan.unlink(missing_ok=True)
    return bootstrap.outputs()


def upload(stage: Stage, say: Say) -> Model:
    """Bring the archive of the stage's model to where a pipeline finds it.

    Raises:
        KennelError: the stage's file names no model, or its archive is not on this machine.
    """
    model = artifacts.chosen(stage)
    if model is None or not model.archive.is_file():
        raise KennelError(
            "What is uploaded for a pull request is the archive that the stage's model file names.",
            f"{shown(stage.model_file)} names none"
            if model is None
            else f"{shown(model.archive)} is missing",
            f"./inv train --stage {stage.name} makes both.",
        )
    stage.start()
    stage.directory.mkdir(parents=True, exist_ok=True)
    state_bucket.ensure(stage)
    bucket, key = state_bucket.name(stage), f"{bundle.MODELS}{model.sha256}/model.tar.gz"
    s3 = stage.client("s3")
    try:
        s3.head_object(Bucket=bucket, Key=key)
        say(f"s3://{bucket}/{key} is there already.")
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        s3.upload_file(str(model.archive), bucket, key)
        say(f"Uploaded s3://{bucket}/{key}.")
    return model


def _review(stage: Stage, bootstrap: Terraform, plan_file: Path, state_version: str, *, scan: bool) -> Review:
    review = make.make(
        stage, bootstrap, plan_file, bootstrap.show(plan_file), has_changes=True, fleet=None, models=(None, None),
        update=None, rollout=None, state_version=state_version, scan=scan, exceptions=BOOTSTRAP,
    )  # fmt: skip
    return replace(review, header=replace(review.header, command=f"./inv ci.setup --stage {stage.name}"))
