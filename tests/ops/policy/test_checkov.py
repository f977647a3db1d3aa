"""checkov over a plan: what it is given, what is made of what it says, and what happens where it fails."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ml.errors import KennelError
from ops import policy
from ops.policy import checkov
from ops.policy.tool import Tool
from tests.ops.policy.made import plan, resource

RECORDED = (Path(__file__).parent / "recorded" / "checkov-3.3.30.json").read_text()
CONFIGURATION = "module.endpoint[0].aws_sagemaker_endpoint_configuration.this"
PLAN = plan(
    resource(CONFIGURATION, {"kms_key_arn": None}),
    resource("module.storage.aws_s3_bucket.artifacts", {}, "keep"),
)

# In place of checkov: notes what it was given, and prints what the test wants.
FAKE = """\
import json, os, pathlib, sys
plan = pathlib.Path(sys.argv[sys.argv.index("--file") + 1])
note = pathlib.Path({note!r})
calls = json.loads(note.read_text()) if note.exists() else []
calls.append({{
    "arguments": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd(),
    "plan": json.loads(plan.read_text()),
    "mode": plan.stat().st_mode & 0o777, "folder_mode": plan.parent.stat().st_mode & 0o777,
}})
note.write_text(json.dumps(calls))
{then}
"""


class FakeTool(Tool):
    """An interpreter to which `-m checkov.main` is a program of the test's."""

    def ensure(self) -> Path:
        return self.root / "python"


class Fake:
    """Stands in for checkov; `calls` is what it was given."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.plan_file = folder / "plan.tfplan"
        self.plan_file.write_bytes(b"the plan")
        monkeypatch.setattr(checkov, "TOOL", FakeTool("checkov", checkov.TOOL.lock, checkov.WITHOUT, folder))
        monkeypatch.setattr(checkov, "RESULTS", folder / "results")
        monkeypatch.setattr(checkov, "SCRATCH", folder / "scratch")

    def does(self, then: str) -> None:
        program = self.folder / "fake.py"
        program.write_text(FAKE.format(note=str(self.folder / "calls.json"), then=then))
        (self.folder / "python").write_text(f'#!/bin/sh\nexec {sys.executable} {program} "$@"\n')
        (self.folder / "python").chmod(0o755)

    def says(self, text: str, status: int = 1) -> None:
        (self.folder / "said").write_text(text)
        self.does(f"print(pathlib.Path({str(self.folder / 'said')!r}).read_text()); sys.exit({status})")

    @property
    def calls(self) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = json.loads((self.folder / "calls.json").read_text())
        return calls


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake(tmp_path, monkeypatch)
    made.says(RECORDED)
    return made


def test_what_it_says_becomes_findings(fake: Fake) -> None:
    found = {each.id: each for each in checkov.findings(PLAN, fake.plan_file)}
    assert list(found) == ["CKV2_AWS_62", "CKV_AWS_158", "CKV_AWS_98"]
    endpoint = found["CKV_AWS_98"]
    assert (endpoint.severity, endpoint.address, endpoint.changed) == ("high", CONFIGURATION, True)
    assert endpoint.text == "Not so: all data stored in the Sagemaker Endpoint is securely encrypted at rest."
    assert endpoint.remedy == "Name a key in endpoint.volume_kms_key_arn."
    assert endpoint.source == "checkov 3.3.30"
    assert found["CKV2_AWS_62"].changed is False  # the plan leaves the bucket as it is
    assert found["CKV2_AWS_62"].remedy == "Correct it, or give a reason and a date in exceptions.toml."


def test_a_plan_of_nothing_is_not_scanned(fake: Fake) -> None:
    assert (
        checkov.findings({"planned_values": {"root_module": {}}, "resource_changes": []}, fake.plan_file)
        == []
    )
    assert checkov.findings({}, fake.plan_file) == []
    assert not (fake.folder / "calls.json").exists()


def test_it_is_asked_once_for_a_plan(fake: Fake) -> None:
    first = checkov.findings(PLAN, fake.plan_file)
    assert checkov.findings(PLAN, fake.plan_file) == first
    assert len(fake.calls) == 1
    fake.plan_file.write_bytes(b"another plan")
    checkov.findings(PLAN, fake.plan_file)
    assert len(fake.calls) == 2


def test_only_the_latest_results_are_kept(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkov, "KEPT", 2)
    for number in range(4):
        fake.plan_file.write_bytes(b"%d" % number)
        checkov.findings(PLAN, fake.plan_file)
    assert len(list((fake.folder / "results").iterdir())) == 2


def test_nobody_else_reads_the_plan_and_nothing_of_it_stays(fake: Fake) -> None:
    planted = plan(
        resource("aws_lambda_function.this", {"environment": [{"variables": {"TOKEN": "planted-secret"}}]})
    )
    checkov.findings(planted, fake.plan_file)
    (call,) = fake.calls
    assert "planted-secret" in json.dumps(call["plan"])  # it looks for secrets, too
    assert (call["mode"], call["folder_mode"]) == (0o600, 0o700)
    assert not Path(call["folder"]).exists()
    kept = [file.read_text() for file in (fake.folder / "results").iterdir()]
    assert "planted-secret" not in "".join(kept)


def test_what_a_killed_scan_left_goes_with_the_next(fake: Fake) -> None:
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    left, working = (fake.folder / "scratch" / f".part-{pid}-abc" for pid in (killed.pid, os.getpid()))
    for folder in (left, working):
        folder.mkdir(parents=True)
        (folder / "plan.json").write_text("planted-secret")
    checkov.findings(PLAN, fake.plan_file)
    assert not left.exists()
    assert working.is_dir()  # somebody's who is at it
    (call,) = fake.calls
    assert Path(call["folder"]).parent == fake.folder / "scratch"


def test_it_gets_nothing_of_our_environment_and_no_network(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE",
        "BC_API_KEY",
        "CKV_FRAMEWORK",
        "GITHUB_TOKEN",
        "PYTHONPATH",
    ):
        monkeypatch.setenv(name, "ours")
    checkov.findings(PLAN, fake.plan_file)
    (call,) = fake.calls
    environment = call["environment"]
    assert "ours" not in environment.values()
    assert environment["HTTPS_PROXY"] == environment["https_proxy"] == checkov.NOWHERE
    assert environment["HOME"] == call["folder"]
    assert "--skip-download" in call["arguments"]
    assert call["arguments"][call["arguments"].index("--framework") + 1] == "terraform_plan"


@pytest.mark.parametrize(
    ("text", "status", "received"),
    [
        ("it fell over", 2, "exit status 2: it says nothing"),
        ("", 0, "what it printed is not its report: '\\n'"),
        ("Traceback (most recent call last)", 1, "what it printed is not its report: 'Traceback"),
        ('{"results": {"failed_checks": []}}', 0, "what it printed is not its report"),
        ('{"summary": {"parsing_errors": 1, "resource_count": 3}}', 0, "it read 3 resources, with 1 errors"),
        ('{"summary": {"parsing_errors": 0, "resource_count": 0}}', 0, "it read 0 resources, with 0 errors"),
        ("[1]", 0, "what it printed is not its report"),
    ],
)
def test_a_scanner_that_fails_is_an_error_with_a_way_on(
    fake: Fake, text: str, status: int, received: str
) -> None:
    fake.says(text, status)
    with pytest.raises(KennelError) as refused:
        checkov.findings(PLAN, fake.plan_file)
    assert refused.value.rule == "The plan is checked by checkov 3.3.30, which did not do its work."
    assert str(refused.value.received).startswith(received)
    assert refused.value.remedy == "./inv plan --no-scan plans without the scanner, and the review says so."
    assert not (fake.folder / "results").exists()


def test_a_crash_tells_its_last_line(fake: Fake) -> None:
    fake.does("print('Traceback', 'ValueError: broken', sep='\\n', file=sys.stderr, flush=True); os._exit(3)")
    with pytest.raises(KennelError, match=re.escape("exit status 3: ValueError: broken")):
        checkov.findings(PLAN, fake.plan_file)


def test_a_scanner_that_hangs_is_given_up(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.does("import time; time.sleep(60)")
    monkeypatch.setattr(checkov, "SECONDS", 0.5)
    with pytest.raises(KennelError, match=re.escape("it was not done after 0.5 s")):
        checkov.findings(PLAN, fake.plan_file)


def test_the_worst_of_what_changes_comes_first_and_excuses_are_given(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_model = resource(
        "module.endpoint[0].aws_sagemaker_model.this",
        {
            "primary_container": [{"image": "210987654321.dkr.ecr.us-east-1.amazonaws.com/x@sha256:0"}],
            "enable_network_isolation": True,
        },
    )
    whole = plan(open_model, *PLAN["resource_changes"])
    found = policy.findings(whole, fake.plan_file)
    assert [(each.id, each.exception is not None) for each in found[:2]] == [
        ("foreign-image", False),
        ("CKV_AWS_98", True),
    ]
    assert found[-1].changed is False
    assert policy.scanner() == "checkov 3.3.30"


def test_without_the_scanner_our_own_rules_look(fake: Fake) -> None:
    bucket = resource("aws_s3_bucket.artifacts", {"bucket": "open"})
    found = policy.findings(plan(bucket), fake.plan_file, scan=False)
    assert [each.id for each in found if each.id != "exception-without-finding"] == ["bucket-without-tls"]
    assert not (fake.folder / "calls.json").exists()
