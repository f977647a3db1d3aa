"""Our workflows, step by step: a pull request is planned, commented, merged and applied; a stale plan is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from localcloud import control
from tests.clients import clients
from tests.forge import REPOSITORY, Forge, Job, Runner, forge, git, identity_token
from tests.project_copy import plain_environment, project_copy

pytestmark = [pytest.mark.long, pytest.mark.cloud, pytest.mark.terraform, pytest.mark.timeout(1200)]

DEADLINE = 300
MAKE_A_MODEL = """
from pathlib import Path
from ml import artifact
from ops import artifacts
from ops.stage import Stage
from tests.ml.serving.conftest import write_run
write_run(Path("run"))
archive, digest = artifact.build(Path("run"))
artifacts.release(Stage.of("local"), archive, digest, {"accuracy": 0.9})
"""
DESTROY = """
import sys
from ops.ci import identity
from ops.ci.run import Run
from ops.deploy import Deployment
from ops.stage import Stage
role, token = sys.argv[1:]
run = Run("gitlab", "", "", "c" * 40, None, None, "", "", role, identity_token=token)
deployment = Deployment(identity.assume(Stage.of("local"), run, "destroy"), print)
deployment.prepare()
print(deployment.destroy(keep_state=False))
"""
PIPELINE = 'ci = {\n  github    = { repository = "org/photos" }\n  plan_days = 0\n}\n'
SECRET = "a-planted-password-4711"


class World:
    """A person's checkout, the forge, its runner, and one embedded cloud for all of them."""

    def __init__(self, root: Path, known: Forge, folder: Path) -> None:
        self.root = root
        self.forge = known
        self.variables = root / "terraform" / "stages" / "local.tfvars"
        self.number = 0
        (root / "terraform" / "stages" / "local.ci.tfvars").write_text(PIPELINE)
        environment = f'endpoint = {{\n  environment = {{ DATABASE_PASSWORD = "{SECRET}" }}'
        self.variables.write_text(self.variables.read_text().replace("endpoint = {", environment, 1))
        self._run(sys.executable, "-c", MAKE_A_MODEL)
        git("init", "--quiet", "--initial-branch=main", str(root))
        self.commit("Begin")
        self.inv("cloud.start")
        listed = self.inv("ci.setup", "--yes").splitlines()[-1]
        self.stage = json.loads(listed)[0]
        self.inv("ci.model")
        self.runner = Runner(known, root, folder, root / ".kennel" / "cloud", {"KENNEL_STAGES": listed})

    def inv(self, *arguments: str) -> str:
        return self._run(sys.executable, "-m", "invoke", "--search-root", str(self.root), *arguments)

    def commit(self, subject: str) -> str:
        git("-C", str(self.root), "add", "--all")
        git("-C", str(self.root), "add", "--force", "terraform/stages/local.model.tfvars.json")
        git("-C", str(self.root), "commit", "--quiet", "--allow-empty", "--message", subject)
        return git("-C", str(self.root), "rev-parse", "HEAD")

    def open(self, tag: str) -> int:
        """Open a pull request whose change is another tag; return its number."""
        self.number += 1
        git("-C", str(self.root), "checkout", "--quiet", "-b", f"change-{self.number}", "main")
        self.push(self.number, tag)
        return self.number

    def push(self, number: int, tag: str) -> None:
        git("-C", str(self.root), "checkout", "--quiet", f"change-{number}")
        text = self.variables.read_text().partition("\ntags")[0]
        self.variables.write_text(f'{text}\ntags = {{ owner = "{tag}" }}\n')
        self.commit(f"Change {number}")

    def plan(self, number: int) -> Job:
        head = git("-C", str(self.root), "rev-parse", f"change-{number}")
        repo = {"full_name": REPOSITORY}
        event = {"pull_request": {"number": number, "head": {"sha": head, "repo": repo}}}
        job = self.runner.run(
            "plan.yml", "plan", event, head, f"repo:{REPOSITORY}:pull_request", matrix={"stage": self.stage}
        )
        assert job is not None
        assert job.succeeded, job.log
        return job

    def merge(self, number: int) -> str:
        """Merge, squashed: the commit on main is another one, with the pull request's files."""
        head = git("-C", str(self.root), "rev-parse", f"change-{number}")
        git("-C", str(self.root), "checkout", "--quiet", "main")
        git("-C", str(self.root), "merge", "--quiet", "--squash", "--strategy-option", "theirs", head)
        merged = self.commit(f"Merge {number}")
        self.forge.merge(number, head, merged)
        return merged

    def verify(self, commit: str) -> Job:
        return self._applying("verify", commit, "ref:refs/heads/main", {})

    def apply(self, commit: str, environment: str, subject: str | None = None, **inputs: str) -> Job:
        needs = {"verify": {"outputs": {"environment": environment}}}
        return self._applying("apply", commit, subject or f"environment:{environment}", needs, **inputs)

    @contextmanager
    def sessions_of(self, role: str, *, hours: int) -> Iterator[None]:
        """The role's may last so long while the block runs."""
        iam, name = self.client("iam"), role.rpartition("/")[2]
        before = iam.get_role(RoleName=name)["Role"]["MaxSessionDuration"]
        iam.update_role(RoleName=name, MaxSessionDuration=hours * 3600)
        yield
        iam.update_role(RoleName=name, MaxSessionDuration=before)

    def destroy(self) -> str:
        """Destroy the stage with the rights of the role that applies, and no others."""
        token = identity_token(f"repo:{REPOSITORY}:environment:local", "sts.amazonaws.com")
        return self._run(sys.executable, "-c", DESTROY, self.stage["apply_role"], token)

    def comments(self, number: int) -> list[str]:
        return [entry["body"] for entry in self.forge.comments.get(number, [])]

    def client(self, service: str) -> Any:
        cloud = control.status(self.root / ".kennel" / "cloud")
        assert cloud is not None
        return clients(cloud)(service)

    def _applying(self, name: str, commit: str, subject: str, needs: dict[str, Any], **other: str) -> Job:
        inputs = {
            "stage": "local",
            "plan_role": self.stage["plan_role"],
            "apply_role": self.stage["apply_role"],
        }
        inputs |= other
        job = self.runner.run(
            "apply-stage.yml", name, {}, commit, f"repo:{REPOSITORY}:{subject}", inputs=inputs, needs=needs
        )
        assert job is not None
        return job

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.root, env=plain_environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=DEADLINE,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("ci")
    with project_copy(folder / "kennel") as root, forge() as known:
        yield World(root, known, folder)


def test_a_pull_request_is_planned_reviewed_merged_and_that_plan_applied(world: World) -> None:
    number, late = world.open("nobody"), world.open("another")
    planned = world.plan(number)
    assert len(world.comments(number)) == 1
    assert world.comments(number)[0].startswith("<!-- kennel plan local -->")
    kept = planned.artifacts["plan-local"]
    assert set(kept) == {"comment.md", "manifest.json", "review.html", "review.json", "review.md"}
    assert SECRET not in str(kept) + planned.log + planned.summary + world.comments(number)[0]

    world.push(number, "somebody")
    again = world.plan(number)
    assert "updated" in again.log
    assert len(world.comments(number)) == 1
    world.plan(late)
    assert len(world.comments(late)) == 1

    merged = world.merge(number)
    verified = world.verify(merged)
    assert verified.succeeded, verified.log
    assert verified.outputs == {"environment": "local-approval"}  # of the planted password

    role = {"apply_role": world.stage["plan_role"]}
    with world.sessions_of(role["apply_role"], hours=3):  # shorter ones, as it has, end before the first call
        reading = world.apply(merged, "local-approval", "ref:refs/heads/main", **role)
    assert not reading.succeeded
    assert "is not authorized to perform" in reading.log
    assert (
        world.client("ec2").describe_vpcs(Filters=[{"Name": "tag-key", "Values": ["kennel:stage"]}])["Vpcs"]
        == []
    )

    applied = world.apply(merged, "local-approval")
    assert applied.succeeded, applied.log
    digest = json.loads(again.artifacts["plan-local"]["manifest.json"])["digest"]
    assert f"Applying the plan {digest[:12]}, reviewed in #1" in applied.log
    assert "going on with the plan made now" not in applied.log
    assert "golden photo   answered right" in applied.log
    assert SECRET not in verified.log + reading.log + applied.log

    stale = world.verify(world.merge(late))
    assert not stale.succeeded
    assert "is stale" in stale.log
    assert "the state (somebody has applied since)" in stale.log
    assert "Open another pull request" in stale.log
    assert "Traceback" not in stale.log + reading.log


def test_a_pull_requests_run_cannot_take_on_the_role_that_applies(world: World) -> None:
    commit = git("-C", str(world.root), "rev-parse", "main")
    refused = world.apply(commit, "local", "pull_request")
    assert not refused.succeeded
    assert "trusts this pipeline" in refused.log


def test_who_applies_may_destroy_all_of_it_and_the_pipelines_own_bucket_stays(world: World) -> None:
    assert "a pipeline's roles are recorded in it" in world.destroy()
    assert world.client("sagemaker").list_endpoints()["Endpoints"] == []
