"""Our workflows, step by step: a pull request is planned, commented, merged and applied; a stale plan is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud import control
from tests.clients import clients
from tests.forge import REPOSITORY, Forge, Job, Runner, forge, git
from tests.project_copy import plain_environment, project_copy

pytestmark = [pytest.mark.long, pytest.mark.cloud, pytest.mark.terraform]

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

    def open(self, tag: str | None = None) -> str:
        """Open a pull request whose change is another tag; return its commit."""
        self.number += 1
        git("-C", str(self.root), "checkout", "--quiet", "-b", f"change-{self.number}", "main")
        return self.push(tag)

    def push(self, tag: str | None = None) -> str:
        if tag is not None:
            text = self.variables.read_text().partition("\ntags")[0]
            self.variables.write_text(f'{text}\ntags = {{ owner = "{tag}" }}\n')
        return self.commit(f"Change {self.number}")

    def plan(self, head: str) -> Job:
        repo = {"full_name": REPOSITORY}
        event = {"pull_request": {"number": self.number, "head": {"sha": head, "repo": repo}}}
        job = self.runner.run(
            "plan.yml", "plan", event, head, f"repo:{REPOSITORY}:pull_request", matrix={"stage": self.stage}
        )
        assert job is not None
        return job

    def merge(self, head: str) -> str:
        """Merge, squashed: the commit on main is another one, with the same files."""
        git("-C", str(self.root), "checkout", "--quiet", "main")
        git("-C", str(self.root), "merge", "--quiet", "--squash", head)
        merged = self.commit(f"Merge {self.number}")
        self.forge.merge(self.number, head, merged)
        return merged

    def verify(self, commit: str) -> Job:
        return self._applying("verify", commit, "ref:refs/heads/main", {})

    def apply(self, commit: str, environment: str, subject: str | None = None) -> Job:
        needs = {"verify": {"outputs": {"environment": environment}}}
        return self._applying("apply", commit, subject or f"environment:{environment}", needs)

    def comments(self) -> list[str]:
        return [entry["body"] for entry in self.forge.comments.get(self.number, [])]

    def client(self, service: str) -> Any:
        cloud = control.status(self.root / ".kennel" / "cloud")
        assert cloud is not None
        return clients(cloud)(service)

    def _applying(self, name: str, commit: str, subject: str, needs: dict[str, Any]) -> Job:
        inputs = {
            "stage": self.stage["name"],
            **{key: self.stage[key] for key in ("plan_role", "apply_role")},
        }
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
    head = world.open("nobody")
    planned = world.plan(head)
    assert planned.succeeded, planned.log
    assert len(world.comments()) == 1
    assert world.comments()[0].startswith("<!-- kennel plan local -->")
    assert SECRET not in str(planned.artifacts) + planned.log + planned.summary + world.comments()[0]
    kept = planned.artifacts["plan-local"]
    assert {"comment.md", "manifest.json"} <= set(kept)
    assert not [name for name in kept if name.endswith(".tfplan")]
    manifest = json.loads(kept["manifest.json"])
    assert manifest["commit"] == head

    head = world.push("somebody")
    again = world.plan(head)
    assert again.succeeded, again.log
    assert "updated" in again.log
    assert len(world.comments()) == 1

    merged = world.merge(head)
    verified = world.verify(merged)
    assert verified.succeeded, verified.log
    assert verified.outputs == {"environment": "local-approval"}  # of the planted password
    digest = json.loads(again.artifacts["plan-local"]["manifest.json"])["digest"]
    applied = world.apply(merged, "local-approval")
    assert applied.succeeded, applied.log
    assert f"Applying the plan {digest[:12]}, reviewed in #1" in applied.log
    assert "golden photo   answered right" in applied.log
    described = world.client("sagemaker").describe_endpoint(EndpointName="kennel-local")
    assert described["EndpointStatus"] == "InService"


def test_a_merge_that_changes_nothing_of_the_stage_applies_nothing(world: World) -> None:
    head = world.open()
    assert world.plan(head).succeeded
    verified = world.verify(world.merge(head))
    assert verified.outputs == {"environment": ""}, verified.log


def test_a_plan_is_stale_when_somebody_has_applied_since(world: World) -> None:
    head = world.open("another")
    assert world.plan(head).succeeded
    before = world.variables.read_text()
    world.push("in-between")
    world.inv("apply", "--yes")
    world.variables.write_text(before)
    git("-C", str(world.root), "checkout", "--quiet", ".")
    merged = world.merge(head)
    verified = world.verify(merged)
    assert not verified.succeeded
    assert "is stale" in verified.log
    assert "the state (somebody has applied since)" in verified.log
    assert "Open another pull request" in verified.log
    assert "Traceback" not in verified.log


def test_a_pull_requests_run_cannot_take_on_the_role_that_applies(world: World) -> None:
    commit = git("-C", str(world.root), "rev-parse", "main")
    refused = world.apply(commit, "local", subject="pull_request")
    assert not refused.succeeded
    assert "trusts this pipeline" in refused.log
