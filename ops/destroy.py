"""Destroys a stage: first what may not go on, then all that Terraform knows, then what it does not; and proves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ml.errors import KennelError
from ops import cost, live, live_cost, recovery, state_bucket
from ops.cost import HOURS, usd
from ops.declared import value_of
from ops.jobs import sagemaker
from ops.progress import Progress
from ops.sweep import Found, Survey, purge_bucket, remove_bucket
from ops.terraform import Terraform, TerraformError

if TYPE_CHECKING:
    from ops.deploy import Deployment

DATA_BUCKET = ("module.storage.aws_s3_bucket.data", "module.storage.module.data_bucket")  # addresses
ATTEMPTS = 3  # of Terraform: a bucket to empty, and one that the sweep clears the way for


def run(deployment: Deployment, *, keep_state: bool) -> list[Found]:
    """Destroy everything of the stage but a data bucket; return what was swept up beside Terraform.

    Raises:
        KennelError: something is left.
    """
    stage, sweeper = deployment.stage, deployment.sweeper
    terraform = deployment.terraform
    outputs = terraform.outputs()
    sagemaker.stop_all(stage, deployment.say)
    _bring_to_rest(deployment, outputs)
    terraform.forget(DATA_BUCKET)  # it stays as it is, with its policy
    _destroy(deployment, terraform)
    recovery.Marker(stage).clear()
    deployment.discard()
    swept = sweeper.survey().found
    resisting = sweeper.remove(swept)
    _prove(deployment, sweeper.survey(), resisting)
    if not keep_state and state_bucket.made_more(stage):
        deployment.say(
            f"The bucket {state_bucket.name(stage)} stays: a pipeline's roles are recorded in it. "
            f"./inv ci.setup --stage {stage.name} --remove takes them away; then destroy again."
        )
    elif not keep_state:
        remove_bucket(stage.client("s3"), state_bucket.name(stage))
        (stage.directory / "bootstrap.tfstate").unlink(missing_ok=True)
    for line in _data_bucket(deployment, outputs):
        deployment.say(line)
    return swept


def _bring_to_rest(deployment: Deployment, outputs: dict[str, Any]) -> None:
    """End scaling, which would begin updates of the endpoints, then wait for those that are under way.

    An endpoint that is deleted during an update is gone from the state, and goes on costing money.
    """
    sweeper = deployment.sweeper
    targets = sweeper.survey(["scalable target"]).found
    for left in sweeper.remove(targets):
        deployment.say(f"Scaling could not be ended: {left} ({left.resisted}).")
    endpoints = {found.identifier for found in sweeper.survey(["endpoint"]).found}
    for endpoint in sorted(
        endpoints | {outputs["endpoint_name"]} if outputs.get("endpoint_name") else endpoints
    ):
        live.wait_until_stable(deployment.stage, endpoint)


def _destroy(deployment: Deployment, terraform: Terraform) -> None:
    """Let Terraform destroy what it knows; clear its way where something that it does not know is in it.

    Raises:
        TerraformError: it does not come to its end.
    """
    for attempt in range(ATTEMPTS):
        progress = Progress("destroy")
        begun = False

        def on_event(event: dict[str, Any], shown: Progress = progress) -> None:
            nonlocal begun
            begun = begun or event.get("type") == "apply_start"
            shown.on_event(event)

        try:
            with progress:
                terraform.apply_directly(deployment.variables(), on_event, destroy=True)
        except TerraformError as error:
            # Before it began, or when it was told to stop: nothing that may be put right here.
            stopped = terraform.interrupted or not deployment.stage.is_running
            if not begun or stopped or attempt == ATTEMPTS - 1:
                raise
            if "BucketNotEmpty" in str(error):
                # Only now: an endpoint that is still there may have to fetch its archive again.
                purge_bucket(deployment.stage.client("s3"), deployment.sweeper.artifact_bucket)
                continue
            deployment.say(
                f"Terraform did not get through:\n{error.received}\nRemoving without it what is left, then again."
            )
            sweeper = deployment.sweeper
            sweeper.remove(sweeper.survey().found)
        else:
            return


def _prove(deployment: Deployment, survey: Survey, resisting: list[Found]) -> None:
    """See that nothing is left, and that everything could be looked at.

    Raises:
        KennelError: something is left, with what it costs, why it resisted, and what to do about it.
    """
    if not survey.found and survey.proves:
        return
    stage = deployment.stage
    tried = {found: found for found in resisting}  # those know why
    costs, unpriced = live_cost.of(deployment.sweeper, survey.found, stage.region)
    lines = []
    for found in (tried.get(each, each) for each in survey.found):
        own = [one.hourly for entry, one in costs if entry == found]
        if not own and found.kind in unpriced:
            own = [None]
        monthly = cost.total(own)
        price = "" if not own else f", {usd(None if monthly is None else monthly * HOURS)} a month"
        lines += [
            f"  {found}{price}",
            *([f"    {found.resisted}"] if found.resisted else []),
            f"    {found.remedy}",
        ]
    for kind, reason in survey.unseen.items():
        lines += [f"  {kind}: not looked at ({reason})", "    Use credentials that may list it."]
    total = cost.total([one.hourly for _, one in costs] + [None for _ in unpriced])
    sum_up = usd(None if total is None else total * HOURS)
    raise KennelError(
        "A destroy leaves nothing.",
        "\n".join([f"left, {sum_up} a month in all:" if survey.found else "not proven:", *lines]),
        f"./inv destroy --stage {stage.name} again removes what it can then; it keeps Terraform's state until then.",
    )


def _data_bucket(deployment: Deployment, outputs: dict[str, Any]) -> list[str]:
    """Tell that it stays, and how much is in it where that is quickly known."""
    declared = value_of("data_bucket", deployment.stage.variables_file) or {}
    name = outputs.get("data_bucket") or declared.get("name")
    if not name:
        return []
    try:
        size, whole = live_cost.bucket_size(deployment.stage.client("s3"), name)
    except (BotoCoreError, ClientError):
        return [f"The data bucket {name} stays as it is."]
    held = live_cost.in_bytes(size) if whole else f"more than {live_cost.in_bytes(size)}"
    return [f"The data bucket {name} stays as it is, with {held} in it."]
