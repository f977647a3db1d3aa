"""The root with its parts that are off by default: applied to an embedded cloud, planned again, destroyed.

Without a model, and so without an endpoint: that is applied where a stage is deployed.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud import control
from ops import lambda_package, policy
from ops.paths import LAMBDA_SOURCE, TERRAFORM
from tests.terraform.roots import Initialize, Root

pytestmark = [pytest.mark.long, pytest.mark.cloud, pytest.mark.terraform]

BOUNDARY = "arn:aws:iam::aws:policy/PowerUserAccess"
EVERYTHING = {
    "network": {
        "internet": "nat",
        "availability_zones": 3,
        "interface_endpoints": ["ecr.dkr", "ssm", "ssmmessages"],
        "amazon_linux_repositories": True,
    },
    "data_bucket": {
        "mode": "external",
        "name": "photos",
        "account_id": "210987654321",
        "key_prefix": "dogImages/",
        "kms_key_arn": "arn:aws:kms:us-east-1:210987654321:key/0a1b",
    },
    "training_instance": {},
    "notebook": {"idle_stop_minutes": 60},
    "permissions_boundary_arn": BOUNDARY,
    "lambda": {
        "package": "../lambda.zip",
        "url": True,
        "tracing": True,
        "reserved_concurrency": 50,
        "provisioned_concurrency": 1,
        "asynchronous": {"retries": 1, "max_event_age_seconds": 600},
    },
    "observability": {"notifications": {"emails": ["ops@example.com"]}},
    "artifacts": {"force_destroy": True},
}


@pytest.fixture
def root(tmp_path: Path, initialize: Initialize) -> Iterator[Root]:
    """A copy of the root module, with its state in a file, on a cloud of its own."""
    directory = tmp_path / "terraform"
    shutil.copytree(TERRAFORM, directory, ignore=shutil.ignore_patterns(".terraform", "*.model.tfvars.json"))
    (directory / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    lambda_package.build(LAMBDA_SOURCE, tmp_path / "lambda.zip")
    values = EVERYTHING | {"stage": "local"}
    (directory / "everything.auto.tfvars.json").write_text(json.dumps(values))
    cloud = control.start(tmp_path / "cloud", lifetime=600)
    try:
        yield Root(directory, initialize(directory), cloud)
    finally:
        control.stop(tmp_path / "cloud")


def roles_by_boundary(iam: Any) -> tuple[list[str], list[str]]:
    """Return the names of the stage's roles without and with the boundary."""
    names = [role["RoleName"] for role in iam.list_roles()["Roles"]]
    found: tuple[list[str], list[str]] = ([], [])
    for name in names:
        if name.startswith("kennel-local-"):
            boundary = iam.get_role(RoleName=name)["Role"].get("PermissionsBoundary", {})
            found[boundary.get("PermissionsBoundaryArn") == BOUNDARY].append(name)
    return found


def said_by_the_instance(root: Root, outputs: dict[str, Any], command: str) -> list[str]:
    """Run a command on the training instance; return what it wrote to its log group, with the rights of its role."""
    ssm, instance = root.client("ssm"), outputs["training_instance_id"]
    deadline = time.monotonic() + 30
    while not ssm.describe_instance_information()["InstanceInformationList"]:
        assert time.monotonic() < deadline, "the instance is not online"
        time.sleep(0.1)
    group = outputs["log_groups"]["training_instance"]
    sent = ssm.send_command(
        DocumentName="AWS-RunShellScript", InstanceIds=[instance], Parameters={"commands": [command]},
        CloudWatchOutputConfig={"CloudWatchOutputEnabled": True, "CloudWatchLogGroupName": group},
    )["Command"]["CommandId"]  # fmt: skip
    while ssm.list_commands(CommandId=sent)["Commands"][0]["Status"] != "Success":
        assert time.monotonic() < deadline, ssm.list_commands(CommandId=sent)["Commands"]
        time.sleep(0.1)
    events = root.client("logs").filter_log_events(logGroupName=group)["events"]
    return [event["message"] for event in events]


def found_without_a_reason(root: Root, plan_file: str) -> list[str]:
    """Return what the policy checks have against what is deployed, of which all is known, unlike in a first plan."""
    plan = json.loads(root.terraform("show", "-json", plan_file))
    found = policy.findings(plan, root.directory / plan_file)
    assert found
    return [
        f"{each.id} {each.address}" for each in found if each.severity != "low" and each.exception is None
    ]


def test_everything_applies_settles_and_goes(root: Root) -> None:
    root.terraform("apply", "-auto-approve")
    root.terraform("plan", "-detailed-exitcode", "-out=settled")
    assert found_without_a_reason(root, "settled") == []

    outputs = {
        name: output["value"] for name, output in json.loads(root.terraform("output", "-json")).items()
    }
    readers = {s["Principal"]["AWS"] for s in json.loads(outputs["data_bucket_policy"])["Statement"]}
    roles = {role["Arn"] for role in root.client("iam").list_roles()["Roles"]}
    assert readers
    assert readers <= roles  # S3 refuses a policy for principals that there are not

    unbounded, bounded = roles_by_boundary(root.client("iam"))
    assert "kennel-local-flow-logs" in bounded
    assert unbounded == []

    assert said_by_the_instance(root, outputs, "echo its role suffices") == ["its role suffices"]

    root.terraform("destroy", "-auto-approve")
    ec2 = root.client("ec2")
    assert [vpc for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]] == []
    assert ec2.describe_addresses()["Addresses"] == []
    assert root.client("s3").list_buckets()["Buckets"] == []
    assert root.client("sagemaker").list_notebook_instances()["NotebookInstances"] == []
