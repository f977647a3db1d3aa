from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import tasks
from ops.ci import identity, workflows
from ops.declared import load
from ops.paths import ROOT, TERRAFORM

FILES = sorted(workflows.FOLDER.glob("*.yml"))
EXAMPLE = re.search(
    r"```yaml\n# \.gitlab-ci\.yml\n(.*?)```", (ROOT / "docs" / "ci.md").read_text(), re.DOTALL
)

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def jobs(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = workflows.load(file)["jobs"]
    return found


def gitlab() -> dict[str, Any]:
    assert EXAMPLE is not None
    found: dict[str, Any] = yaml.safe_load(EXAMPLE[1])
    return found


@each_file
def test_every_script_of_a_workflow_is_one_task(file: Path) -> None:
    for where, script in workflows.scripts():
        found = re.fullmatch(r"\./inv ([\w.]+)((?: --[a-z]+(?: \"\$[A-Z]+\")?)*)", script.strip())
        assert found, f"{where}: {script}"
        assert found[1] in tasks.namespace.task_names, where


@each_file
def test_every_action_is_pinned_by_its_commit(file: Path) -> None:
    for line in file.read_text().splitlines():
        used = re.search(r"uses: (\S+)", line)
        if used and not used[1].startswith("./"):
            assert re.search(r"uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


@each_file
def test_no_workflow_has_a_right_that_its_jobs_do_not_name(file: Path) -> None:
    assert workflows.load(file)["permissions"] == {}
    for name, job in jobs(file).items():
        assert "permissions" in job, name
        assert "timeout-minutes" in job or "uses" in job, name


@each_file
def test_nothing_runs_a_pull_requests_code_with_the_targets_rights(file: Path) -> None:
    assert not {"pull_request_target", "workflow_run"} & set(workflows.load(file)["on"])


@each_file
def test_no_checkout_leaves_the_token_behind(file: Path) -> None:
    checkouts = [
        step
        for job in jobs(file).values()
        for step in job.get("steps", [])
        if "checkout" in step.get("uses", "")
    ]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_another_label_cancels_no_long_tests() -> None:
    group = workflows.load(workflows.FOLDER / "checks.yml")["concurrency"]["group"]
    assert "github.event.label.name" in group


def test_a_fork_is_not_planned() -> None:
    condition = jobs(workflows.FOLDER / "plan.yml")["plan"]["if"]
    assert "head.repo.full_name == github.repository" in condition


def test_only_jobs_of_plan_and_apply_have_an_identity() -> None:
    with_identity = {
        f"{file.name}: {name}"
        for file in FILES
        for name, job in jobs(file).items()
        if job["permissions"].get("id-token") == "write"
    }
    assert with_identity == {
        "apply.yml: stages", "apply-stage.yml: verify", "apply-stage.yml: apply", "plan.yml: plan"
    }  # fmt: skip


def test_a_session_lasts_as_long_as_its_job_may_take() -> None:
    applying = jobs(workflows.FOLDER / "apply-stage.yml")
    minutes = {
        "plan": jobs(workflows.FOLDER / "plan.yml")["plan"]["timeout-minutes"],
        **{name: applying[name]["timeout-minutes"] for name in ("verify", "apply")},
    }
    assert {task: seconds / 60 for task, seconds in identity.SECONDS.items()} == minutes
    assert {gitlab()[f"{name} dev"]["timeout"] for name in ("apply", "approve")} == {"3 hours"}
    roles = [block["aws_iam_role"] for block in load(TERRAFORM / "bootstrap" / "ci.tf")["resource"]
             if "aws_iam_role" in block]  # fmt: skip
    limits = {name: role.get("max_session_duration", 3600) for each in roles for name, role in each.items()}
    assert limits == {task: identity.SECONDS[task] for task in ("plan", "apply")}


def test_nothing_is_against_the_shell_of_the_workflows() -> None:
    assert workflows.check_scripts() == []


def test_an_expression_in_a_script_and_bad_shell_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = [("here", "echo ${{ github.head_ref }}"), ("there", "cd $FOLDER")]
    monkeypatch.setattr(workflows, "scripts", lambda: iter(bad))
    told = "\n".join(workflows.check_scripts())
    assert "here: give an expression to the script through env:" in told
    assert "SC2086" in told


def test_the_example_for_gitlab_fits_its_schema(tmp_path: Path) -> None:
    assert EXAMPLE is not None
    file = tmp_path / ".gitlab-ci.yml"
    file.write_text(EXAMPLE[1])
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.gitlab-ci", str(file)]
    done = subprocess.run(
        [*command, "--data-transform", "gitlab-ci"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_for_gitlab_runs_the_same_tasks_as_the_workflows() -> None:
    def named(scripts: list[str]) -> set[str]:
        return {found[1] for found in (re.match(r"\./inv ([\w.]+)", script) for script in scripts) if found}

    ours = named([script for _, script in workflows.scripts()])
    theirs = named(
        [script for job in gitlab().values() if isinstance(job, dict)
         for script in job.get("script", []) + job.get("after_script", [])]
    )  # fmt: skip
    assert theirs == ours - {"ci.verify"}  # an environment cannot be chosen there: ci.apply verifies
