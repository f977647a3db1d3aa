"""The scripts that Terraform hands to machines: sound shell once filled in, and right about what they do."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.message import Message
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import HTTPError

import pytest

from ops.paths import ROOT, TERRAFORM
from ops.terraform import cli_environment

MODULES = TERRAFORM / "modules"
BOOTED = datetime(2026, 1, 1, tzinfo=UTC)
USER_DATA = {
    "python": "3.12",
    "packages": "torch==1.0 tqdm==1.0",
    "wheelhouse_uri": "s3://bucket/wheelhouse/",
}


def filled(template: Path, values: dict[str, Any], directory: Path) -> str:
    """Fill a template in as Terraform does."""
    done = subprocess.run(
        ["terraform", "console"],
        input=f"jsonencode(templatefile({json.dumps(str(template))}, jsondecode({json.dumps(json.dumps(values))})))",
        cwd=directory, env=cli_environment(os.environ, None),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    script: str = json.loads(json.loads(done.stdout))
    return script


def check(script: str, directory: Path) -> None:
    file = directory / "script.sh"
    file.write_text(script)
    shellcheck = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run([shellcheck, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.terraform
@pytest.mark.parametrize("install_from", ["pypi", "wheelhouse"])
def test_user_data_is_sound_shell(install_from: str, tmp_path: Path) -> None:
    template = MODULES / "training_instance" / "user_data.sh"
    script = filled(template, USER_DATA | {"install_from": install_from}, tmp_path)
    check(script, tmp_path)
    assert ("--no-index" in script) == (install_from == "wheelhouse")


@pytest.mark.terraform
def test_the_notebooks_start_script_writes_the_program_as_it_is(tmp_path: Path) -> None:
    program = (MODULES / "notebook" / "idle_stop.py").read_text()
    values = {"idle_stop_minutes": 60, "program": program}
    script = filled(MODULES / "notebook" / "on_start.sh", values, tmp_path)
    check(script, tmp_path)
    target = tmp_path / "idle_stop.py"
    local = script.replace("/usr/local/bin/idle_stop.py", str(target)).replace("/etc/cron.d", str(tmp_path))
    subprocess.run(["bash"], input=local, text=True, check=True)
    assert target.read_text() == program


def test_the_training_instance_installs_what_the_project_pins() -> None:
    declared = (MODULES / "training_instance" / "variables.tf").read_text()
    requirements = (ROOT / "requirements.txt").read_text()
    training = requirements.partition("# Training\n")[2].partition("\n\n")[0].split()
    packages = re.findall(r'^ +"([\w.-]+==[\w.]+)",$', declared, re.MULTILINE)
    assert set(training) <= set(packages)
    assert set(packages) <= set(requirements.split())


@pytest.fixture
def idle_stop() -> ModuleType:
    spec = importlib.util.spec_from_file_location("idle_stop", MODULES / "notebook" / "idle_stop.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def session(state: str, minutes: int) -> dict[str, Any]:
    active = (BOOTED + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
    return {"kernel": {"execution_state": state, "last_activity": active}}


def test_a_notebook_that_nobody_used_is_idle_since_its_boot(idle_stop: ModuleType) -> None:
    assert idle_stop.idle_since([], [], BOOTED) == BOOTED


def test_a_notebook_is_idle_since_the_latest_activity_of_any_session(idle_stop: ModuleType) -> None:
    sessions = [session("idle", 5), session("idle", 9), session("idle", -60)]
    assert idle_stop.idle_since(sessions, [], BOOTED) == BOOTED + timedelta(minutes=9)


def test_a_terminal_keeps_a_notebook_from_being_idle(idle_stop: ModuleType) -> None:
    terminal = session("idle", 30)["kernel"]
    assert idle_stop.idle_since([session("idle", 5)], [terminal], BOOTED) == BOOTED + timedelta(minutes=30)


def test_a_busy_kernel_keeps_a_notebook_from_being_idle(idle_stop: ModuleType) -> None:
    now = datetime.now(UTC)
    assert idle_stop.idle_since([session("busy", 5)], [], BOOTED) >= now


def run_main(
    idle_stop: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, last_activity: datetime
) -> list[list[str]]:
    metadata = tmp_path / "resource-metadata.json"
    metadata.write_text('{"ResourceName": "kennel-dev"}')
    answers = {
        "sessions": [{"kernel": {"execution_state": "idle", "last_activity": last_activity.isoformat()}}]
    }
    called: list[list[str]] = []
    monkeypatch.setattr(idle_stop, "METADATA", metadata)
    monkeypatch.setattr(idle_stop, "ask", lambda what: answers.get(what, []))
    monkeypatch.setattr(idle_stop, "uptime_seconds", lambda: 86_400.0)
    monkeypatch.setattr(idle_stop.subprocess, "run", lambda command, check: called.append(command))
    monkeypatch.setattr(sys, "argv", ["idle_stop.py", "60"])
    idle_stop.main()
    return called


def test_an_idle_notebook_stops_itself(
    idle_stop: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    called = run_main(idle_stop, monkeypatch, tmp_path, datetime.now(UTC) - timedelta(minutes=61))
    assert called == [
        ["aws", "sagemaker", "stop-notebook-instance", "--notebook-instance-name", "kennel-dev"]
    ]


def answer_with(idle_stop: ModuleType, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    def refuse(what: str) -> list[dict[str, Any]]:
        raise HTTPError(idle_stop.JUPYTER + what, status, "", Message(), None)

    monkeypatch.setattr(idle_stop, "ask", refuse)


def test_a_notebook_without_terminals_has_none(
    idle_stop: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_with(idle_stop, monkeypatch, 404)
    assert idle_stop.terminals() == []


def test_a_notebook_that_does_not_tell_of_its_terminals_is_not_taken_for_idle(
    idle_stop: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_with(idle_stop, monkeypatch, 500)
    with pytest.raises(HTTPError, match="500"):
        idle_stop.terminals()


def test_a_notebook_that_was_used_lately_goes_on(
    idle_stop: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run_main(idle_stop, monkeypatch, tmp_path, datetime.now(UTC) - timedelta(minutes=59)) == []
