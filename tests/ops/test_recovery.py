from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.process_identity import start_mark
from ml.errors import KennelError
from ops import leftovers, recovery, terraform
from ops.sweep import Found
from ops.terraform import Running, TerraformError

HERE, ELSEWHERE = "embedded cloud 1", "embedded cloud 2"
DEAD = Running(pid=2**22, started="never", command="apply")
LOCK = {"ID": "a-b", "Who": "me@host", "Created": "2026-11-22T10:00:00.5Z", "Operation": "OperationTypeApply"}


class Cloud:
    """Answers for S3, SageMaker and CloudWatch Logs, as far as recovery asks."""

    def __init__(self) -> None:
        self.lock: dict[str, str] | None = None
        self.streams: dict[str, list[str]] = {}

    def get_object(self, **_: str) -> dict[str, Any]:
        if self.lock is None:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": ""}}, "GetObject")
        return {"Body": io.BytesIO(json.dumps(self.lock).encode())}

    def describe_endpoint(self, **_: str) -> dict[str, str]:
        return {"EndpointStatus": "InService", "EndpointConfigName": "config-live"}

    def describe_endpoint_config(self, **_: str) -> dict[str, Any]:
        return {"ProductionVariants": [{"ModelName": "model-live", "VariantName": "primary"}]}

    def describe_log_streams(self, *, logGroupName: str, limit: int) -> dict[str, list[str]]:
        return {"logStreams": self.streams.get(logGroupName, [])[:limit]}


class Terraform:
    """A terraform with a state and the record of a process."""

    def __init__(self, stage: Any, state: dict[str, Any], recorded: Running | None) -> None:
        self.stage = stage
        self.backend = {"bucket": "state", "key": "key"}
        self.errored_state = stage.directory / "errored.tfstate"
        self.log = stage.directory / "terraform.jsonl"
        self.record = stage.directory / "terraform.running.json"
        self.mark = f"TF_DATA_DIR={stage.directory}"
        self.unlocked: list[str] = []
        self.pushed: list[str] = []
        self._state = state
        self._recorded = recorded

    def running(self) -> Running | None:
        return self._recorded

    def state(self) -> dict[str, Any]:
        return self._state

    def unlock(self, lock_id: str) -> None:
        self.unlocked.append(lock_id)

    def push_state(self, file: Path) -> None:
        self.pushed.append(file.read_text())
        file.unlink()


class Case:
    """A stage with a cloud, a terraform and what a sweep finds."""

    def __init__(self, directory: Path) -> None:
        self.cloud = Cloud()
        self.stage: Any = SimpleNamespace(directory=directory, client=lambda _: self.cloud)
        self.found: list[Found] = []
        self.state: dict[str, Any] = {}
        self.recorded: Running | None = None

    def examine(self, identity: str = HERE) -> tuple[recovery.Findings, Terraform]:
        terraform = Terraform(self.stage, self.state, self.recorded)
        sweeper: Any = SimpleNamespace(find=lambda: self.found, client=lambda _: self.cloud, stage=self.stage)
        return recovery.examine(terraform, sweeper, identity), terraform  # type: ignore[arg-type]

    def unfinished(self, known: int = 0) -> None:
        recovery.Marker(self.stage).set(identity=HERE, known=known)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def holding(*names: str) -> dict[str, Any]:
    return {"resources": [{"mode": "managed", "instances": [{"id": name}]} for name in names]}


def test_where_nothing_was_killed_nothing_is_found(case: Case) -> None:
    case.found = [Found("role", "kennel-local-x")]
    assert case.examine()[0] == recovery.Findings([], [])


def test_what_an_unfinished_apply_made_and_did_not_record_is_found(case: Case) -> None:
    case.unfinished()
    case.state = holding("kennel-local-known")
    case.found = [
        Found("role", "kennel-local-known"),
        Found("role", "kennel-local-new"),
        Found("VPC", "vpc-1"),
    ]
    findings, _ = case.examine()
    assert findings.orphans == case.found[1:]
    assert findings.notes[-1].endswith("did not finish. It had made, and not recorded: 1 role, 1 VPC.")


def test_what_an_endpoint_serves_is_no_orphan(case: Case) -> None:
    case.unfinished()
    case.state = holding("kennel-local")
    case.found = [
        Found("endpoint", "kennel-local"),
        Found("endpoint configuration", "config-live"),
        Found("endpoint configuration", "config-other"),
        Found("model", "model-live"),
        Found("scalable target", "endpoint/kennel-local/variant/primary"),  # given back by a failed update
    ]
    assert case.examine()[0].orphans == [Found("endpoint configuration", "config-other")]


def test_a_log_group_that_has_been_written_to_is_kept(case: Case) -> None:
    case.unfinished()
    case.cloud.streams = {"/aws/lambda/kennel-local": ["stream"]}
    case.found = [Found("log group", "/aws/lambda/kennel-local"), Found("log group", "/aws/vpc/kennel-local")]
    assert case.examine()[0].orphans == case.found[1:]


def test_a_cloud_that_has_ended_since_is_told_and_forgotten(case: Case) -> None:
    case.unfinished()
    case.stage.directory.joinpath("errored.tfstate").write_text("{}")
    findings, terraform = case.examine(ELSEWHERE)
    assert "starting anew" in findings.notes[0]
    assert not terraform.errored_state.exists()
    assert case.examine(ELSEWHERE)[0] == recovery.Findings([], [])


def test_a_state_that_could_not_be_stored_is_stored_first(case: Case) -> None:
    case.unfinished()
    case.stage.directory.joinpath("errored.tfstate").write_text('{"serial": 2}')
    findings, terraform = case.examine()
    assert terraform.pushed == ['{"serial": 2}']
    assert "Stored the state that Terraform could not store then." in findings.notes


def test_a_state_that_has_lost_what_it_knew_stops_everything(case: Case) -> None:
    case.unfinished(known=40)
    case.state = holding("one")
    with pytest.raises(KennelError, match="the state holds at least what it held before") as caught:
        case.examine()
    assert caught.value.received == "1 resources now, 40 then"


def test_a_damaged_marker_blocks_nothing(case: Case) -> None:
    recovery.Marker(case.stage).file.write_text("")
    assert case.examine()[0] == recovery.Findings([], [])


def test_the_lock_of_a_terraform_that_was_killed_here_is_released(case: Case) -> None:
    case.cloud.lock, case.recorded = LOCK, DEAD
    case.stage.directory.joinpath("terraform.running.json").write_text("{}")
    findings, terraform = case.examine()
    assert terraform.unlocked == ["a-b"]
    assert not terraform.record.exists()
    assert findings.notes == ["Released the state lock that a killed terraform left at 2026-11-22T10:00:00."]


def test_somebody_elses_lock_is_respected(case: Case) -> None:
    case.cloud.lock = LOCK
    with pytest.raises(KennelError, match="One person at a time works on a stage") as caught:
        case.examine()
    assert str(caught.value.received).startswith("me@host holds the state's lock since 2026-11-22T10:00:00")


def test_a_terraform_that_is_still_at_work_is_waited_for(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.recorded = DEAD
    monkeypatch.setattr(Running, "is_alive", True)
    with pytest.raises(KennelError, match="One terraform at a time works on a stage"):
        case.examine()


FAKE_TERRAFORM = """\
#!/bin/sh
sleep 300 &
echo $! > "$PIDS/obedient.new"; mv "$PIDS/obedient.new" "$PIDS/obedient"
sh -c 'trap "" TERM; echo $$ > "$PIDS/deaf.new"; mv "$PIDS/deaf.new" "$PIDS/deaf"; while :; do sleep 0.1; done' &
wait
"""


def appears(file: Path) -> int:
    deadline = time.monotonic() + 20
    while not file.is_file():
        assert time.monotonic() < deadline, f"{file.name} did not start"
        time.sleep(0.02)
    return int(file.read_text())


def test_the_providers_of_a_terraform_that_was_killed_are_ended_by_the_next_command(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "SECONDS_TO_END", 0.5)
    monkeypatch.setattr(terraform, "WORK", tmp_path)
    program = tmp_path / "bin" / "terraform"
    program.parent.mkdir()
    program.write_text(FAKE_TERRAFORM)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    case.stage.environment = {**os.environ, "PIDS": str(tmp_path)}
    case.stage.settings = SimpleNamespace(provider_mirror=None)
    case.stage.is_running = True
    killed = terraform.Terraform(case.stage, directory=tmp_path, backend={"bucket": "state", "key": "key"})
    failures: list[TerraformError] = []

    def task() -> None:
        try:
            killed.plan(tmp_path / "plan", [], lambda _: None)
        except TerraformError as failure:
            failures.append(failure)

    thread = threading.Thread(target=task)
    thread.start()
    children = [appears(tmp_path / name) for name in ("obedient", "deaf")]
    running = killed.running()
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    thread.join()
    assert failures
    assert all(start_mark(child) for child in children)

    sweeper: Any = SimpleNamespace()
    findings = recovery.examine(killed, sweeper, HERE)
    assert [start_mark(child) for child in children] == [None, None]
    assert any("that a killed terraform left running" in note for note in findings.notes)
    assert recovery.examine(killed, sweeper, HERE).notes == []


def test_a_stranger_that_was_given_the_number_of_a_killed_terraform_is_let_be(case: Case) -> None:
    stranger = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        case.recorded = Running(stranger.pid, "another start", "apply")
        assert case.examine()[0].notes == []
        assert stranger.poll() is None
    finally:
        stranger.communicate(b"\n", timeout=20)
    assert stranger.returncode == 0
