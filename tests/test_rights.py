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
from tests.rights.outside import CONDITIONS

DEADLINE = 1500  # s for all on a loaded machine
_ROLES = (
    "modules/iam", "modules/network/flow_logs.tf", "modules/storage/data_policies.tf", "bootstrap/read.tf",
)  # fmt: skip
# What a pipeline's role may do for a plan of other stages than the one here, or of what a pull request adds to it.
_OTHER_STAGES = {
    "application-autoscaling:DescribeScalableTargets", "application-autoscaling:DescribeScalingPolicies",
    "application-autoscaling:DescribeScheduledActions", "application-autoscaling:ListTagsForResource",
    "cloudformation:DescribeStacks", "cloudformation:GetTemplate", "ec2:DescribeAddresses",
    "ec2:DescribeAddressesAttribute", "ec2:DescribeInternetGateways", "ec2:DescribeNatGateways",
    "ecr:DescribeRepositories", "ecr:GetLifecyclePolicy", "ecr:ListTagsForResource", "lambda:GetFunctionUrlConfig",
    "lambda:GetProvisionedConcurrencyConfig", "sagemaker:DescribeInferenceComponent", "sagemaker:ListEndpointConfigs",
    "sagemaker:ListEndpoints", "sagemaker:ListModels", "servicequotas:ListServiceQuotas",
    "sns:GetSubscriptionAttributes", "sns:GetTopicAttributes", "sns:ListTagsForResource",
}  # fmt: skip
_SID = re.compile(r'\bsid\s*=\s*"(?:\$\{statement\.key\})?(\w+)"')
_CONDITION = re.compile(r'\bvariable\s*=\s*"(\w+:\w+)"')
_STOPPED_AT_ONCE = "sagemaker hyper-parameter-tuning-job"  # how far its trial comes is not the same each time
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


def what_stands(entries: list[dict[str, Any]]) -> dict[tuple[str, str], Any]:
    """Of each statement what no order, time or name of a run changes."""
    names = ("actions", "conditions", "scenario", "refused")
    found = {}
    for one in entries:
        calls = {(call["action"], call["by"]) for call in one["calls"] if call["by"] != _STOPPED_AT_ONCE}
        found[one["policy"], one["sid"]] = {"calls": calls} | {name: one[name] for name in names}
    return found


def test_the_page_is_what_the_recording_says() -> None:
    assert rights_page.PAGE.read_text() == rights_page.page(), "./inv docs writes it"


def test_the_page_names_exactly_the_statements_that_terraform_declares() -> None:
    readers = r"(?:Endpoint|TrainingInstance|Training|Notebook)(?=ListsData$|ReadsData$|Decrypts$)"
    gateway = "gateway endpoint's policy"
    named = {re.sub(f"^{readers}", "", one["sid"]) for one in recorded() if one["policy"] != gateway}
    assert named == declared()


def test_each_condition_that_terraform_declares_is_tried() -> None:
    modules = TERRAFORM / "modules"
    found = {
        (str(file.relative_to(modules)), key)
        for file in modules.rglob("*.tf")
        for key in _CONDITION.findall(file.read_text())
    }
    assert found == CONDITIONS.keys()
    source = (ROOT / "tests" / "rights" / "outside.py").read_text()
    tests = "".join(file.read_text() for file in (ROOT / "tests" / "localcloud").rglob("test_*.py"))
    for means in filter(None, CONDITIONS.values()):
        assert (
            f"def {means}(" in tests
            if means.startswith("test_")
            else f'"{means}"' in source.split("_DENIED", 1)[1]
        )


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
    run = recording.Run(lines)
    assert [
        (one["document"], one["sid"]) for one in run.cases if not one["without"] or not one["refused"]
    ] == []
    assert [(one["document"], one["sid"], one["again"]) for one in run.cases if one["again"]] == []
    assert run.unused() == []
    assert run.needless() == []
    assert run.unplanned() <= _OTHER_STAGES

    found = run.statements()
    if os.environ.get("KENNEL_TEST_RECORD"):
        (ROOT / "docs" / "rights.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    assert what_stands(found) == what_stands(recorded()), "KENNEL_TEST_RECORD=1 records anew"
