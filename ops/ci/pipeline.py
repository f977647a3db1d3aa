"""What the steps of a pipeline do: plan a pull request, see that its plan still holds, and apply it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from ml.errors import KennelError
from ops import artifacts, files, rollback, state_bucket, update
from ops.ci import bundle, sameness, turn
from ops.ci.bundle import Manifest, digest
from ops.ci.forge import Forge
from ops.ci.run import Run
from ops.deploy import Deployment, Say
from ops.live import Report
from ops.paths import TERRAFORM, WORK
from ops.planned import Planned
from ops.review import redact
from ops.review.make import FILES as REVIEWS
from ops.review.review import NEEDS_APPROVAL
from ops.stage import Stage


@dataclass(frozen=True)
class Verified:
    """What is to be applied after a merge."""

    manifest: Manifest
    planned: Planned  # read off the plan that was made from the merged files
    needs_approval: bool

    def environment(self, stage: Stage) -> str:
        """Return the forge's environment that it is applied in."""
        return approval(stage) if self.needs_approval else stage.name


def approval(stage: Stage) -> str:
    """Return the environment in which somebody has to agree."""
    return f"{stage.name}-approval"


def folder(stage: Stage) -> Path:
    """Where the forge's artifact is put together: nothing in it is secret."""
    return WORK / "ci" / stage.name


@contextlib.contextmanager
def failures_shown(stage: Stage, run: Run) -> Iterator[None]:
    """Empty the folder, and leave in it what the comment is to say where the block fails."""
    out = folder(stage)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    try:
        yield
    except KennelError as error:
        (out / "comment.md").write_text(_failure(stage, run, error))
        raise
    except (BotoCoreError, ClientError) as error:
        refused = KennelError(
            "The cloud answers a plan.", error, "See that the role has the rights it needs."
        )
        (out / "comment.md").write_text(_failure(stage, run, refused))
        raise


def plan(stage: Stage, run: Run, say: Say) -> Manifest:
    """Plan what the pull request changes, keep the plan, and put its review together.

    Raises:
        KennelError: it cannot be planned.
    """
    if run.head is None or run.number is None:
        raise KennelError(
            "ci.plan is a step of a pull request's pipeline.",
            f"a run of {run.commit[:12]}",
            "./inv ci.verify",
        )
    deployment, planned = _planned(stage, say, force=False)
    state = deployment.terraform.state()
    manifest = Manifest(
        version=bundle.VERSION,
        stage=stage.name,
        commit=run.head,
        pull_request=run.number,
        digest=digest(deployment.plan_file),
        inputs=_inputs(deployment),
        lock=_lock(),
        lineage=state.get("lineage"),
        serial=state.get("serial"),
        exit_code=_exit_code(planned),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    bundle.keep(stage, manifest, deployment.plan_file)
    out = folder(stage)
    for name in REVIEWS:
        shutil.copy(stage.directory / name, out / name)
    files.write_json(out / bundle.MANIFEST, vars(manifest))
    shutil.copy(out / "review.md", out / "comment.md")
    run.tell("exit_code", str(manifest.exit_code))
    run.tell("digest", manifest.digest)
    run.show((out / "comment.md").read_text())
    return manifest


def comment_text(stage: Stage, run: Run) -> str:
    """Return what the comment is to say: the review, or that there is none."""
    file = folder(stage) / "comment.md"
    if file.is_file():
        return file.read_text()
    return _failure(
        stage, run, KennelError("The pipeline plans what a pull request changes.", "it did not get to it")
    )


def verify(stage: Stage, run: Run, forge: Forge, say: Say) -> Verified | None:
    """See that the plan of the pull request that this commit merged still holds; None: there is nothing to do.

    A plan is made anew, from the merged files, and compared: what is in the bucket was written by a run of the pull
    request's own code, and so is believed only where the merged code says the same.

    Raises:
        KennelError: nobody has reviewed this, or the plan is stale.
    """
    deployment, fresh = _planned(stage, say, force=True)
    if not fresh.has_changes:
        return None
    request = forge.merged(run.commit)
    if request is None:
        raise KennelError(
            "What is applied was planned and reviewed in its pull request.",
            f"{run.commit[:12]} came without one, and would change {_counted(fresh)}",
            bundle.again(stage),
        )
    kept = stage.directory / "reviewed"
    manifest = bundle.fetch(stage, request.head, kept)
    terraform = deployment.terraform
    state = terraform.state()
    reviewed_plan, fresh_plan = terraform.show(kept / bundle.PLAN), terraform.show(deployment.plan_file)
    _refuse_stale(
        stage,
        manifest,
        {
            "the files that it was made from": (manifest.inputs, _inputs(deployment)),
            "the provider's lock file": (manifest.lock, _lock()),
            "the state (somebody has applied since)": (
                [manifest.lineage, manifest.serial],
                [state.get("lineage"), state.get("serial")],
            ),
            "the configuration that it holds": (
                sameness.configuration(kept / bundle.PLAN),
                sameness.configuration(deployment.plan_file),
            ),
            "what would change": (update.essence(reviewed_plan), fresh.essence),
        },
    )
    if sameness.shown(reviewed_plan) != sameness.shown(fresh_plan):
        say(
            "What was read of the cloud differs, such as the number of live instances, and nothing that is reviewed:"
        )
        say("going on with the plan made now.")
    else:
        (kept / bundle.PLAN).replace(deployment.plan_file)
    return Verified(manifest, fresh, NEEDS_APPROVAL in {manifest.exit_code, _exit_code(fresh)})


def apply(stage: Stage, run: Run, forge: Forge, environment: str, say: Say) -> Report | None:
    """Apply the reviewed plan; return what is live, or None where there was nothing to do.

    Raises:
        KennelError: the plan is stale, or needs an approval that this environment does not stand for.
    """
    verified = verify(stage, run, forge, say)
    if verified is None:
        return None
    if verified.needs_approval and environment != approval(stage):
        raise KennelError(
            f"A plan that needs approval is applied in the environment {approval(stage)}.",
            environment,
            f"Run the job again: ci.verify chooses the environment. #{verified.manifest.pull_request} has the review.",
        )
    say(
        f"Applying the plan {verified.manifest.digest[:12]}, reviewed in #{verified.manifest.pull_request} "
        f"at {verified.manifest.commit[:12]}."
    )
    return Deployment(stage, say).apply(verified.planned, [])


def _planned(stage: Stage, say: Say, *, force: bool) -> tuple[Deployment, Planned]:
    """Make a plan, with the archives that it compares and may have to upload."""
    if not state_bucket.exists(stage):
        raise KennelError(
            "A pipeline works on a stage that was set up.",
            f"no bucket {state_bucket.name(stage)}",
            f"./inv ci.setup --stage {stage.name}, once, by somebody who may.",
        )
    turn.wait(stage, say)
    deployment = Deployment(stage, say)
    deployment.prepare()
    outputs = deployment.terraform.outputs()
    model, deployed = artifacts.wanted(stage, outputs), artifacts.deployed(outputs)
    for one in filter(None, (deployed, model)):
        bucket = outputs.get("artifact_bucket")
        if not (bucket and rollback.fetch(stage, bucket, one)):
            rollback.fetch(stage, state_bucket.name(stage), one)
    return deployment, deployment.plan(force=force, scan=True)


def _refuse_stale(stage: Stage, manifest: Manifest, compared: dict[str, tuple[object, object]]) -> None:
    changed = [name for name, (then, now) in compared.items() if then != now]
    if changed:
        raise KennelError(
            "Only the plan that was reviewed is applied.",
            f"the plan {manifest.digest[:12]} of #{manifest.pull_request} is stale; since it was made, "
            f"{' and '.join(changed)} changed",
            bundle.again(stage),
        )


def _exit_code(planned: Planned) -> int:
    """Return what `./inv plan` would have ended with; a plan that nobody has reviewed needs an approval."""
    return planned.review.exit_code if planned.review else NEEDS_APPROVAL


def _inputs(deployment: Deployment) -> str:
    return str(files.read_json(deployment.plan_record)["inputs"])


def _lock() -> str:
    return digest(TERRAFORM / ".terraform.lock.hcl")


def _counted(planned: Planned) -> str:
    return ", ".join(f"{number} to {action}" for action, number in planned.counts.items()) or "outputs"


def _failure(stage: Stage, run: Run, error: KennelError) -> str:
    lines = [f"### No plan for the stage `{stage.name}`", "", error.rule, ""]
    if error.received is not None:
        received = redact.scrub(str(error.received).strip())[:20_000].replace("```", "'''")
        lines += ["```text", received, "```", ""]
    if error.remedy is not None:
        lines += [error.remedy, ""]
    return "\n".join([*lines, f"[The run's log]({run.link})", ""])
