"""Plan, apply and destroy a stage."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from ml.artifact import unpacked
from ml.errors import KennelError
from ops import (
    artifacts,
    destroy,
    doctor,
    files,
    fleet,
    lambda_package,
    live,
    recovery,
    rollback,
    scaling,
    state_bucket,
    update,
)
from ops.artifacts import Model
from ops.declared import load
from ops.fleet import Fleet
from ops.paths import LAMBDA_PACKAGE, LAMBDA_SOURCE, TERRAFORM, shown
from ops.planned import Planned
from ops.progress import Progress
from ops.review import make, redact
from ops.rollout import Rollout
from ops.stage import Stage
from ops.sweep import Found, Sweeper
from ops.terraform import Terraform, TerraformError
from ops.terraform import version as terraform_version

CONFIGURATION = "module.endpoint[0].aws_sagemaker_endpoint_configuration.this"  # address

# The words of the endpoint's own postcondition, and of the provider, which gives up as soon as a rollback has begun.
ROLLED_BACK = ("was rolled back", "unexpected state 'RollingBack'")

Say = Callable[[str], None]  # tells the person what goes on


class Deployment:
    """A stage, its Terraform, and the plan between them."""

    def __init__(self, stage: Stage, say: Say) -> None:
        self.stage = stage
        self.say = say
        self.plan_file = stage.directory / "plan.tfplan"
        self.plan_record = stage.directory / "plan.json"

    def prepare(self) -> list[Found]:
        """Bring up what a plan needs: cloud, state bucket, an initialized Terraform.

        Return what an apply that did not finish has made and not recorded.
        """
        terraform_version()
        if not self.stage.is_running:
            cloud = self.stage.start()
            if cloud is not None:
                self.say(f"The embedded cloud was not running: started at {cloud.endpoint_url}.")
        self.stage.directory.mkdir(parents=True, exist_ok=True)
        self.stage.directory.chmod(0o700)  # the saved plan holds what the state holds
        redact.remember(redact.secrets_of(load(self.stage.variables_file)))
        if state_bucket.ensure(self.stage):
            self.say(f"Made the bucket for Terraform's state: {state_bucket.name(self.stage)}.")
        self.terraform.init()
        findings = recovery.examine(self.terraform, self.sweeper, self.stage.identity)
        for note in findings.notes:
            self.say(note)
        if scaling.resume(self.stage):
            self.say("Scaling was still held by a task that did not finish: it goes on.")
        return findings.orphans

    @property
    def terraform(self) -> Terraform:
        return Terraform(self.stage, backend=state_bucket.backend(self.stage))

    @property
    def sweeper(self) -> Sweeper:
        return Sweeper(self.stage, state_bucket.prefix(self.stage))

    def outputs(self) -> dict[str, Any]:
        """Return what the last apply left, by name; empty when nothing is deployed or the cloud is not there."""
        if not self.stage.is_running or not state_bucket.exists(self.stage):
            return {}
        self.stage.directory.mkdir(parents=True, exist_ok=True)
        self.terraform.init()
        return self.terraform.outputs()

    def plan(self, *, force: bool = False, rollout: Rollout | None = None, scan: bool = False) -> Planned:
        """Save a plan, after `prepare`, and its review.

        `rollout` is how this update moves traffic, if not as the stage says; `scan`: let the policy scanner look, too.

        Raises:
            KennelError: the inputs are not fit to be planned, or the model is worse than the deployed one.
        """
        doctor.refuse_short(self.stage)
        lambda_package.build(LAMBDA_SOURCE, LAMBDA_PACKAGE)
        outputs = self.terraform.outputs()
        model, deployed = artifacts.wanted(self.stage, outputs), artifacts.deployed(outputs)
        if model is not None:
            stored = set(outputs.get("model_archives") or [])
            artifacts.refuse_unfit(model, deployed, stored=stored, force=force)
        self.discard()
        running = fleet.look(self.stage, outputs.get("endpoint_name"))
        arguments = self._variables(model, outputs, running, rollout)
        state = self.terraform.state()
        if running is not None and fleet.recorded_config(state) != running.config:
            self.say(
                "The last update was rolled back, and so the endpoint gets a new configuration. The reason was: "
                f"{running.reason or 'none given'}"
            )
            arguments.append(f"-replace={CONFIGURATION}")  # its count and its way of moving traffic are old
        with Progress("plan") as progress:
            has_changes = self.terraform.plan(self.plan_file, arguments, progress.on_event)
        shown_plan = self.terraform.show(self.plan_file)
        moved = update.of_plan(shown_plan, running)
        review = make.make(
            self.stage, self.terraform, self.plan_file, shown_plan, has_changes=has_changes, fleet=running,
            models=(deployed, model), update=moved, rollout=rollout,
            state_version=state.get("terraform_version", ""), scan=scan,
        )  # fmt: skip
        essence = update.essence(shown_plan)
        planned = Planned(
            has_changes, review.text(short=True), review.counts, moved, rollout, essence, review
        )
        identity, inputs = self.stage.identity, self._inputs_digest()
        make.keep(review, self.stage.directory)
        files.write_json(self.plan_record, {"inputs": inputs, "identity": identity, **planned.record()})
        return planned

    def plan_to_read(self) -> dict[str, Any]:
        """Return a plan made now as Terraform's JSON, to look at: it takes no lock, and is not kept."""
        self.terraform.init()
        lambda_package.build(LAMBDA_SOURCE, LAMBDA_PACKAGE)
        outputs = self.terraform.outputs()
        running = fleet.look(self.stage, outputs.get("endpoint_name"))
        arguments = self._variables(artifacts.wanted(self.stage, outputs), outputs, running, None)
        file = self.stage.directory / "look.tfplan"
        try:
            with Progress("plan") as progress:
                self.terraform.plan(file, [*arguments, "-lock=false"], progress.on_event)
            return self.terraform.show(file)
        finally:
            file.unlink(missing_ok=True)

    def saved(self, rollout: Rollout | None = None) -> Planned | None:
        """Return the saved plan, or None where there is none.

        Raises:
            KennelError: it was made from other inputs, for a cloud that is gone, or moves traffic otherwise.
        """
        record = files.read_json(self.plan_record)
        if record is None or not self.plan_file.is_file():
            return None
        try:
            planned = Planned.read(record)
            identity, inputs = record["identity"], record["inputs"]
        except (KeyError, TypeError, AttributeError):
            self.discard()
            self.say("The saved plan was made by another version of Kennel: planning anew.")
            return None
        if identity != self.stage.identity:
            self.discard()
            self.say("The saved plan was made for a cloud that has ended since: planning anew.")
            return None
        if inputs != self._inputs_digest():
            unfit = KennelError(
                "Only the plan that was reviewed is applied.",
                "the Terraform files, the model or the function have changed since it was saved",
                f"./inv plan --stage {self.stage.name} shows the new plan; then apply that one.",
            )
        else:
            if rollout in (None, planned.rollout):
                return planned
            unfit = KennelError(
                "The saved plan moves traffic as it was planned.",
                f"{rollout}, planned {planned.rollout or 'as the stage says'}",
                "Give ./inv plan the same flag; then apply that plan without one.",
            )
        if planned.has_changes:
            raise unfit
        self.discard()  # nobody reviewed anything
        return None

    def discard(self) -> None:
        """Forget the saved plan."""
        self.plan_file.unlink(missing_ok=True)
        self.plan_record.unlink(missing_ok=True)
        make.forget(self.stage.directory)

    def apply(self, planned: Planned, orphans: list[Found]) -> live.Report:
        """Remove what `prepare` found, apply the saved plan, then look at what is live.

        Raises:
            KennelError: Terraform failed, the update was rolled back, or what is live is not what was planned.
        """
        terraform = self.terraform
        recovery.refuse_when_at_work(terraform)
        recovery.remove(self.sweeper, orphans)
        outputs = terraform.outputs()
        endpoint = outputs.get("endpoint_name")
        with contextlib.ExitStack() as stack:
            if planned.update is not None and endpoint is not None:
                stack.enter_context(scaling.held(self.stage, scaling.resource_id(outputs)))
                live.wait_until_stable(self.stage, endpoint)
                planned = self._with_live_count(planned, endpoint)
                if planned.update is not None and planned.update.registers_anew:
                    stack.enter_context(scaling.away(self.stage, scaling.resource_id(outputs)))
            try:
                self._apply(planned)
            except TerraformError as error:
                if endpoint is None or not any(text in str(error) for text in ROLLED_BACK):
                    raise
                self.say("The update does not succeed: waiting until the endpoint has gone back.")
                live.wait_until_stable(self.stage, endpoint)
                running = fleet.look(self.stage, endpoint)
                if running is None or running.status != "InService":
                    raise
                raise rollback.undone(self.stage, outputs, running) from error
        outputs = terraform.outputs()
        return live.verify(self.stage, outputs, _golden(artifacts.wanted(self.stage, outputs)))

    def _apply(self, planned: Planned) -> None:
        terraform = self.terraform
        marker = recovery.Marker(self.stage)
        after_unfinished = marker.read() is not None
        marker.set(identity=self.stage.identity, known=recovery.count(terraform.state()))
        self.plan_record.unlink(
            missing_ok=True
        )  # a plan is applied once, also when this task is killed meanwhile
        with Progress("apply", sum(planned.counts.values())) as progress:
            try:
                terraform.apply(self.plan_file, progress.on_event)
            finally:
                self.discard()
        if after_unfinished:  # what was in service then, and could not be removed before, is not now
            recovery.remove(self.sweeper, recovery.unknown_to(terraform.state(), self.sweeper))
        marker.clear()  # one that failed leaves it: the next command looks whether all that was made is recorded

    def _with_live_count(self, planned: Planned, endpoint: str) -> Planned:
        """Return the plan, made anew where more instances are live than when it was made.

        Raises:
            KennelError: more than their number would change.
        """
        moved, running = planned.update, fleet.look(self.stage, endpoint)
        if moved is None or running is None or running.wanted <= max(moved.count, moved.live or 0):
            return planned
        self.say(
            f"{running.wanted} instances are live, {moved.live} were when this was planned: planning anew with them."
        )
        fresh = self.plan(force=True, rollout=planned.rollout)
        if fresh.essence != planned.essence:
            raise KennelError(
                "Only the plan that was reviewed is applied.",
                "more than the number of instances has changed since it was saved",
                f"./inv plan --stage {self.stage.name} shows the new plan; then apply that one.",
            )
        return fresh

    @contextlib.contextmanager
    def going_back(self, to: str | None) -> Iterator[tuple[Model, Planned]]:
        """Make an earlier model the stage's, and plan its deployment, all at once.

        Where the block does not end well, nobody wants it, and the stage's model is what it was.

        Raises:
            KennelError: there is no such model.
        """
        outputs, before = self.terraform.outputs(), artifacts.chosen(self.stage)
        had_chosen = self.stage.model_file.is_file()
        model = rollback.target(outputs, before, to)
        rollback.fetch(self.stage, outputs["artifact_bucket"], model)
        artifacts.choose(self.stage, model)
        try:
            yield model, self.plan(force=True, rollout=Rollout("ALL_AT_ONCE"))
        except BaseException:
            self.discard()
            if had_chosen:
                artifacts.choose(self.stage, before)
            else:
                self.stage.model_file.unlink()
            raise

    def destroy(self, *, keep_state: bool) -> list[Found]:
        """Destroy everything of the stage but a data bucket; return what was swept up beside Terraform.

        Raises:
            KennelError: something is left.
        """
        return destroy.run(self, keep_state=keep_state)

    def variables(self) -> list[str]:
        """Return Terraform's arguments for a plan of the stage without a model."""
        return self._variables(None, {}, None, None)

    def _variables(
        self, model: Model | None, outputs: dict[str, Any], running: Fleet | None, rollout: Rollout | None
    ) -> list[str]:
        """Return Terraform's arguments: the stage's own file, and what is known only now."""
        derived = self.stage.directory / "derived.tfvars.json"
        files.write_json(
            derived,
            {
                "model": model.to_variable() if model else None,
                "retained_models": [earlier.to_variable() for earlier in artifacts.retained(model, outputs)],
                "live_instance_count": running.wanted or None if running else None,
                "rollout": rollout.to_variable() if rollout else None,
            },
        )
        return [f"-var-file={self.stage.variables_file}", f"-var-file={derived}"]

    def _inputs_digest(self) -> str:
        """What a plan is made from: Terraform's files, the stage's variables, the model, the function."""
        terraform = (path for path in TERRAFORM.rglob("*") if path.suffix in {".tf", ".sh", ".py"})
        sources = [path for path in terraform if ".terraform" not in path.parts]
        sources += [self.stage.variables_file, self.stage.model_file, *LAMBDA_SOURCE.glob("*.py")]
        digest = hashlib.sha256()
        for file in sorted(sources):
            digest.update(f"{shown(file)}\0".encode())
            digest.update(file.read_bytes() if file.is_file() else b"absent")
        return digest.hexdigest()


def _golden(model: Model | None) -> live.Golden | None:
    """Return the picture that a deployed model must answer right, from the archive."""
    manifest = model.manifest() if model is not None else None
    if model is None or manifest is None:
        return None
    golden = manifest["golden"]
    with unpacked(model.archive) as directory:
        return live.Golden((directory / golden["file"]).read_bytes(), golden["label"])
