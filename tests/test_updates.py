"""Model updates while the endpoint is asked without a pause: nobody is refused, no instance lost, a failure told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from localcloud import control
from ops.paths import ROOT
from tests.ml.serving.samples import encode, photo
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


class Load:
    """Clients that ask the endpoint, one request after another, and never a second time."""

    def __init__(self, cloud: control.CloudInfo) -> None:
        self.answered = 0
        self.errors: list[str] = []
        self._cloud = cloud
        self._stopping = threading.Event()
        self._body = encode(photo())
        self._pool = ThreadPoolExecutor(CLIENTS)

    def __enter__(self) -> Load:
        self._clients = [self._pool.submit(self._ask) for _ in range(CLIENTS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._pool.shutdown()
        for client in self._clients:
            client.result()

    def _ask(self) -> None:
        client = client_of(self._cloud, "sagemaker-runtime")
        while not self._stopping.is_set():
            try:
                client.invoke_endpoint(EndpointName="kennel-local", ContentType="image/png", Body=self._body)
                self.answered += 1
            except Exception as error:
                self.errors.append(repr(error))


def client_of(cloud: control.CloudInfo, service: str) -> Any:
    once = Config(retries={"total_max_attempts": 1}, read_timeout=60)
    return boto3.client(
        service, endpoint_url=cloud.endpoint_url, region_name=cloud.region, config=once,
        aws_access_key_id="local", aws_secret_access_key="local",
    )  # fmt: skip


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """A copy of the project, with an embedded cloud of its own."""
    root = tmp_path / "kennel"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    (root / "terraform" / "stages" / "local.tfvars").write_text(VARIABLES)
    yield root
    control.stop(root / ".kennel" / "cloud")


def scale_out(cloud: control.CloudInfo) -> None:
    client = client_of(cloud, "sagemaker")
    client.update_endpoint_weights_and_capacities(
        EndpointName="kennel-local",
        DesiredWeightsAndCapacities=[{"VariantName": "primary", "DesiredInstanceCount": INSTANCES}],
    )
    deadline = time.monotonic() + DEADLINE
    while (state := client.describe_endpoint(EndpointName="kennel-local"))["EndpointStatus"] != "InService":
        assert time.monotonic() < deadline, state
        time.sleep(0.1)


def test_updates_and_a_failure_under_load_drop_no_request_and_no_instance(copy: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "KENNEL_", "TF_"))}
    driver = subprocess.Popen(
        [sys.executable, "-m", "tests.updates_driver"], cwd=copy, env=environment, text=True,
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
        steps = []
        with Load(cloud) as load:
            driver.stdin.write("go on\n")
            driver.stdin.flush()
            for line in driver.stdout:
                print(line)  # what went on, where the test fails
                steps.append(json.loads(line) | {"answered": load.answered})

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

    assert load.errors == []
    answered = [step["answered"] for step in updates]
    assert sorted(set(answered)) == answered  # more after each
