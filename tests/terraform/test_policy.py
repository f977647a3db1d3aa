"""Real plans of every stage, checked: nothing severe is found that has no reason, and no reason is left over."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from localcloud import control
from ops import lambda_package
from ops.declared import load as load_terraform
from ops.paths import LAMBDA_SOURCE, ROOT, TERRAFORM
from ops.policy import checkov, rules
from ops.policy.exceptions import BOOTSTRAP, Exemption, excuse, load
from ops.policy.tool import Tool
from ops.review.facts import Finding
from tests.terraform.roots import Initialize, Root

pytestmark = [pytest.mark.long, pytest.mark.cloud, pytest.mark.terraform]

WRITTEN = date(2026, 11, 23)  # of the exceptions; what ended since is told by a plan, not by this test
ACCOUNT = "123456789012"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/0a1b"
PACKAGE = "../lambda.zip"
MODEL = {"name": "dogs", "archive": "../model.tar.gz", "sha256": "0" * 64, "metrics": {"accuracy": 0.94}}
IMAGE = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/kennel-prod-serving@sha256:{'a' * 64}"
EVERYTHING: dict[str, Any] = {
    "network": {
        "internet": "nat",
        "availability_zones": 3,
        "interface_endpoints": [
            "ecr.api",
            "ecr.dkr",
            "sagemaker.api",
            "sagemaker.runtime",
            "ssm",
            "ssmmessages",
        ],
        "amazon_linux_repositories": True,
    },
    "data_bucket": {"mode": "create", "kms_key_arn": KEY},
    "artifacts": {"kms_key_arn": KEY},
    "training_instance": {"kms_key_arn": KEY},
    "notebook": {"idle_stop_minutes": 60, "kms_key_arn": KEY},
    "lambda": {
        "package": PACKAGE,
        "url": True,
        "tracing": True,
        "in_vpc": True,
        "reserved_concurrency": 50,
        "provisioned_concurrency": 1,
        "asynchronous": {"on_failure_arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:failed"},
    },
    "observability": {"notifications": {"emails": ["ops@example.com"], "kms_key_arn": KEY}},
    "image_repositories": ["serving", "training"],
    "endpoint": {
        "image": IMAGE,
        "instance_count": 2,
        "in_vpc": True,
        "capture_percent": 10,
        "volume_kms_key_arn": KEY,
    },
    "autoscaling": {"min_instances": 2, "max_instances": 4},
}
SCALED_TO_ZERO = EVERYTHING | {
    "endpoint": {"image": IMAGE, "in_vpc": True, "volume_kms_key_arn": KEY},
    "autoscaling": {"scale_to_zero": True, "min_instances": 0, "max_instances": 2},
}


class Planner:
    """Makes plans of a copy of the root and of bootstrap, on a cloud of their own."""

    def __init__(self, root: Root, bootstrap: Root) -> None:
        self.root = root
        self.bootstrap = bootstrap

    def plan(self, name: str, stage: str, values: dict[str, Any]) -> tuple[dict[str, Any], Path]:
        """Return a plan as Terraform's JSON, and its file."""
        return _plan(self.root, name, _stage(stage) | values)


def _plan(root: Root, name: str, values: dict[str, Any]) -> tuple[dict[str, Any], Path]:
    (root.directory / f"{name}.tfvars.json").write_text(json.dumps(values))
    root.terraform("plan", "-lock=false", f"-var-file={name}.tfvars.json", f"-out={name}.tfplan")
    return json.loads(root.terraform("show", "-json", f"{name}.tfplan")), root.directory / f"{name}.tfplan"


def _stage(stage: str) -> dict[str, Any]:
    """Return what the stage's file sets, with an image and the function's package of the test's."""
    values: dict[str, Any] = load_terraform(TERRAFORM / "stages" / f"{stage}.tfvars")
    values["endpoint"] = {"image": IMAGE} | values["endpoint"]
    values["lambda"] = values["lambda"] | {"package": PACKAGE}
    return {name: value for name, value in values.items() if not name.startswith("__")} | {"model": MODEL}


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory, initialize: Initialize) -> Iterator[Planner]:
    folder = tmp_path_factory.mktemp("policy")
    directory = folder / "terraform"
    shutil.copytree(TERRAFORM, directory, ignore=shutil.ignore_patterns(".terraform", "*.model.tfvars.json"))
    for each in (directory, directory / "bootstrap"):
        (each / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    lambda_package.build(LAMBDA_SOURCE, folder / "lambda.zip")
    (folder / "model.tar.gz").write_bytes(b"")
    cloud = control.start(folder / "cloud", lifetime=900)
    try:
        bootstrap = Root(directory / "bootstrap", initialize(directory / "bootstrap"), cloud)
        yield Planner(Root(directory, initialize(directory), cloud), bootstrap)
    finally:
        control.stop(folder / "cloud")


@pytest.fixture(scope="module")
def scans(planner: Planner) -> dict[str, tuple[dict[str, Any], list[Finding]]]:
    """Plans, and what the checks have against them, by name; exceptions not counted."""
    plans = {
        "local": planner.plan("local", "local", {}),
        "dev": planner.plan("dev", "dev", {}),
        "prod": planner.plan("prod", "prod", {}),
        "everything": planner.plan("everything", "prod", EVERYTHING),
        "scaled to zero": planner.plan("zero", "prod", SCALED_TO_ZERO),
    }
    return {
        name: (plan, rules.judge(plan) + checkov.findings(plan, file)) for name, (plan, file) in plans.items()
    }


Scans = dict[str, tuple[dict[str, Any], list[Finding]]]


@pytest.fixture(scope="module")
def exemptions() -> list[Exemption]:
    return load()


def open_findings(scans: Scans, exemptions: list[Exemption], *severities: str) -> list[str]:
    return [
        f"{name}: {each.id} {each.address} {each.text}"
        for name, (plan, found) in scans.items()
        for each in excuse(found, exemptions, plan, WRITTEN)
        if each.exception is None and each.severity in severities
    ]


def test_nothing_severe_is_found_without_a_reason(scans: Scans, exemptions: list[Exemption]) -> None:
    assert open_findings(scans, exemptions, "critical", "high") == []


def test_nothing_of_medium_severity_is_found_without_a_reason(
    scans: Scans, exemptions: list[Exemption]
) -> None:
    assert open_findings(scans, exemptions, "medium") == []


def test_each_exception_is_needed_by_a_stage_or_with_all_parts(
    scans: Scans, exemptions: list[Exemption]
) -> None:
    found = [each for _, findings in scans.values() for each in findings]
    idle = [each for each in exemptions if not any(each.covers(finding) for finding in found)]
    assert idle == []


def test_the_stages_as_they_are_have_no_exception_too_many(scans: Scans, exemptions: list[Exemption]) -> None:
    stages = {name: scans[name] for name in ("local", "dev", "prod")}
    assert [
        each for each in open_findings(stages, exemptions, "low") if "exception-without-finding" in each
    ] == []


def test_the_states_bucket_and_a_pipelines_roles_have_a_reason_for_each_finding_and_none_too_many(
    planner: Planner,
) -> None:
    values = {"stage": "prod", "ci": {"github": {"repository": "org/photos"}}}
    plan, file = _plan(planner.bootstrap, "bootstrap", values)
    found = rules.judge(plan) + checkov.findings(plan, file)
    assert found
    assert [each for each in excuse(found, load(BOOTSTRAP), plan, WRITTEN) if each.exception is None] == []


def test_the_scanner_works_without_a_network_and_does_not_try_one(
    planner: Planner, scans: Scans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, _ = scans["prod"]
    file = planner.root.directory / "prod.tfplan"
    found = [each for each in scans["prod"][1] if each.source != "kennel"]
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            asked.append(self.path)
            self.send_error(502)

        do_GET = do_POST = do_CONNECT

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(checkov, "NOWHERE", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(checkov, "RESULTS", tmp_path / "results")
        assert checkov.findings(plan, file) == found
        server.shutdown()
    assert asked == []

    monkeypatch.setattr(checkov, "RESULTS", tmp_path / "others")
    monkeypatch.setattr(checkov, "TOOL", _cut_off(tmp_path))
    assert checkov.findings(plan, file) == found


def _cut_off(folder: Path) -> Tool:
    """Return the scanner in a network of its own, with nothing in it; skips where the system lets nobody make one."""
    cut = ["unshare", "--map-root-user", "--net"]
    if sys.platform != "linux" or subprocess.run([*cut, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system makes no network of one's own")
    program = folder / "python"
    program.write_text(f'#!/bin/sh\nexec {" ".join(cut)} {checkov.TOOL.python} "$@"\n')
    program.chmod(0o755)

    class CutOff(Tool):
        def ensure(self) -> Path:
            return program

    return CutOff("checkov", checkov.TOOL.lock, checkov.WITHOUT)


def test_workflows_and_dockerfiles_have_no_finding_without_a_reason(tmp_path: Path) -> None:
    folders = [word for folder in (".github", "ml") for word in ("--directory", str(ROOT / folder))]
    command = [
        str(checkov.TOOL.ensure()), "-W", "ignore", "-m", "checkov.main", *folders, "--framework", "dockerfile",
        "github_actions", "--output", "json", "--quiet", "--compact", "--skip-download",
    ]  # fmt: skip
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=checkov.environment(str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    reports = _reports(done.stdout)
    assert {each["check_type"] for each in reports} == {"dockerfile", "github_actions"}, (
        done.stdout + done.stderr
    )
    failed = {each["check_id"] for report in reports for each in report["results"]["failed_checks"]}
    assert failed <= {
        "CKV_DOCKER_2",  # no HEALTHCHECK of the training image: a job answers nobody
        "CKV_DOCKER_3",  # root, there too: SageMaker makes /opt/ml of a training container for root alone
    }


def _reports(said: str) -> list[dict[str, Any]]:
    """Return the reports of several folders: JSON after JSON, each a report or a list of them."""
    decoder, rest = json.JSONDecoder(), said.strip()
    reports: list[dict[str, Any]] = []
    while rest:
        found, end = decoder.raw_decode(rest)
        reports += [each for each in (found if isinstance(found, list) else [found]) if "check_type" in each]
        rest = rest[end:].strip()
    return reports
