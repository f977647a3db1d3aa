"""Model updates while the endpoint is asked without a pause: nobody is refused, no instance lost, a failure told."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud import control
from tests.callers import Callers
from tests.clients import clients
from tests.ml.serving.samples import encode, photo
from tests.project_copy import plain_environment, project_copy
from tests.updates_driver import UPDATES

pytestmark = [pytest.mark.long, pytest.mark.cloud, pytest.mark.terraform, pytest.mark.timeout(3000)]

DEADLINE = 300  # seconds a step may take on a loaded machine
CLIENTS = 3  # each with a request under way all the time: one more than the instances take at once
INSTANCES = 2
# What an update needs and no more: Terraform looks at every resource in every plan.
VARIABLES = """
stage = "local"
endpoint = {
  image         = "123456789012.dkr.ecr.us-east-1.amazonaws.com/kennel-serving:local"
  instance_type = "ml.m5.large"
  deployment = {
    wait_seconds             = 0
    termination_wait_seconds = 0
  }
}
autoscaling = {
  max_instances = 3
}
artifacts = {
  force_destroy   = true
  lifecycle_rules = false
}
"""


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    with project_copy(tmp_path / "kennel", VARIABLES) as root:
        yield root


def scale_out(cloud: control.CloudInfo) -> None:
    client = clients(cloud)("sagemaker")
    client.update_endpoint_weights_and_capacities(
        EndpointName="kennel-local",
        DesiredWeightsAndCapacities=[{"VariantName": "primary", "DesiredInstanceCount": INSTANCES}],
    )
    deadline = time.monotonic() + DEADLINE
    while (state := client.describe_endpoint(EndpointName="kennel-local"))["EndpointStatus"] != "InService":
        assert time.monotonic() < deadline, state
        time.sleep(0.1)


def test_updates_and_a_failure_under_load_drop_no_request_and_no_instance(copy: Path) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-m", "tests.updates_driver"], cwd=copy, env=plain_environment(), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert driver.stdin is not None
    assert driver.stdout is not None
    with driver:
        deployed = json.loads(driver.stdout.readline())
        assert deployed["error"] is None
        cloud = control.status(copy / ".kennel" / "cloud")
        assert cloud is not None
        scale_out(cloud)
        runtime, body = clients(cloud)("sagemaker-runtime"), encode(photo())
        request = functools.partial(
            runtime.invoke_endpoint, EndpointName="kennel-local", ContentType="image/png", Body=body
        )
        steps = []
        with Callers(request, CLIENTS) as callers:
            driver.stdin.write("go on\n")
            driver.stdin.flush()
            for line in driver.stdout:
                print(line)  # what went on, where the test fails
                steps.append(json.loads(line) | {"answered": callers.answered})

    *updates, failure, back, plan = steps
    assert [step["error"] for step in updates] == [None] * UPDATES
    assert len({step["config"] for step in updates}) == UPDATES
    assert min(step["instances"] for step in (*updates, failure, back)) >= INSTANCES

    last = updates[-1]
    assert "was rolled back" in failure["error"]
    assert "did not pass the ping health check" in failure["error"]
    assert f"It serves {last['model']}" in failure["error"]
    assert failure["config"] == last["config"]
    assert back["error"] is None
    assert back["model"] == last["model"]
    assert plan["has_changes"] is False

    assert callers.errors == []
    answered = [step["answered"] for step in updates]
    assert sorted(set(answered)) == answered  # more after each
