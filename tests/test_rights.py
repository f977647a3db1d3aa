"""Every statement of a policy is needed, every call beside them is refused, and docs/rights.md says so."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ops import rights_page
from ops.paths import ROOT, TERRAFORM
from tests.project_copy import plain_environment, project_copy

DEADLINE = 1500  # s for all on a loaded machine
_ROLES = ("modules/iam", "modules/network/flow_logs.tf", "modules/storage/data_policies.tf")
_SID = re.compile(r'\bsid\s*=\s*"(?:\$\{statement\.key\})?(\w+)"')
_TRUST = {"LetTheServiceIn", "FlowLogsAssume"}


def recorded() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(rights_page.RECORDING.read_text())
    return entries


def declared() -> set[str]:
    """Names of statements, without that of the reader which some begin with."""
    found: set[str] = set()
    for place in _ROLES:
        path = TERRAFORM / place
        for file in sorted(path.glob("*.tf")) if path.is_dir() else [path]:
            found |= set(_SID.findall(file.read_text()))
    return found - _TRUST


def test_the_page_is_what_the_recording_says() -> None:
    assert rights_page.PAGE.read_text() == rights_page.page(), "./inv docs writes it"


def test_the_page_names_exactly_the_statements_that_terraform_declares() -> None:
    readers = r"(?:Endpoint|TrainingInstance|Training|Notebook)(?=ListsData$|ReadsData$|Decrypts$)"
    gateway = "gateway endpoint's policy"
    named = {re.sub(f"^{readers}", "", one["sid"]) for one in recorded() if one["policy"] != gateway}
    assert named == declared()


@pytest.mark.long
@pytest.mark.cloud
@pytest.mark.terraform
@pytest.mark.timeout(DEADLINE + 60)
def test_each_statement_is_needed_and_nothing_else_is_allowed(tmp_path: Path) -> None:
    from tests.rights import recording

    with project_copy(tmp_path / "kennel") as root:
        done = subprocess.run(
            [sys.executable, "-m", "tests.rights.driver"],
            cwd=root, env=plain_environment() | {"PYTHONPATH": str(root)}, timeout=DEADLINE,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    assert [line for line in lines if line.get("said")] == [], (
        "what no statement stands or falls by must work"
    )
    assert [line["outside"] for line in lines if "outside" in line and not line["outside"]["ok"]] == []
    cases = [line for line in lines if "sid" in line]
    assert [(one["document"], one["sid"]) for one in cases if not one["without"] or not one["refused"]] == []
    assert [(one["document"], one["sid"], one["again"]) for one in cases if one["again"]] == []
    assert recording.unused(lines) == []
    assert recording.replayed(lines) == []

    found = recording.statements(lines)
    if os.environ.get("KENNEL_TEST_RECORD"):
        (ROOT / "docs" / "rights.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    names = ("policy", "sid", "actions", "conditions", "scenario")
    assert [{name: one[name] for name in names} for one in found] == [
        {name: one[name] for name in names} for one in recorded()
    ], "KENNEL_TEST_RECORD=1 records anew"
