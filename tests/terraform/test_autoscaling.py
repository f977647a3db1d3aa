"""The autoscaling module with all that is off by default: applied to an endpoint, planned again, changed, destroyed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from localcloud import control
from ops.paths import TERRAFORM

pytestmark = [pytest.mark.long, pytest.mark.cloud, pytest.mark.terraform]

SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""
ROLE = "arn:aws:iam::123456789012:role/any"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/fake:1"
MAIN = """
variable "instance_type" { default = "ml.m5.large" }

module "autoscaling" {
  source        = "%s"
  endpoint      = { name = "dogs", variant = "primary" }
  instance_type = var.instance_type
  autoscaling = {
    policy = "step"
    step = {
      scale_out = { threshold = 100, steps = [{ above = 0, add = 1 }, { above = 100, add = 3 }] }
      scale_in  = { threshold = 50 }
    }
    scheduled = {
      morning = { schedule = "cron(0 8 ? * MON-FRI *)", timezone = "Europe/Berlin", min_instances = 3 }
    }
  }
}
"""
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/dogs/variant/primary",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}


class Root:
    def __init__(self, directory: Path, environment: dict[str, str], cloud: control.CloudInfo) -> None:
        self.directory = directory
        self.cloud = cloud
        self.environment = environment | {
            "AWS_ENDPOINT_URL": cloud.endpoint_url,
            "AWS_DEFAULT_REGION": cloud.region,
        }

    def client(self, service: str) -> Any:
        return boto3.client(
            service, endpoint_url=self.cloud.endpoint_url, region_name=self.cloud.region,
            aws_access_key_id="none", aws_secret_access_key="none",
        )  # fmt: skip

    def terraform(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            ["terraform", arguments[0], "-input=false", *arguments[1:]],
            cwd=self.directory, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def make_endpoint(self) -> None:
        code = io.BytesIO()
        with tarfile.open(fileobj=code, mode="w:gz") as archive:
            member = tarfile.TarInfo("code/fakeserver.py")
            member.size = len(SERVER)
            archive.addfile(member, io.BytesIO(SERVER.encode()))
        self.client("s3").create_bucket(Bucket="models")
        self.client("s3").put_object(Bucket="models", Key="model.tar.gz", Body=code.getvalue())
        sagemaker = self.client("sagemaker")
        container = {"Image": IMAGE, "ModelDataUrl": "s3://models/model.tar.gz"}
        sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container)
        variant = {
            "VariantName": "primary",
            "ModelName": "m",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName="dogs", EndpointConfigName="c")
        deadline = time.monotonic() + 120
        while (state := sagemaker.describe_endpoint(EndpointName="dogs"))["EndpointStatus"] != "InService":
            assert time.monotonic() < deadline, state
            time.sleep(0.1)


@pytest.fixture
def root(tmp_path: Path, initialize: Callable[[Path], dict[str, str]]) -> Iterator[Root]:
    directory = tmp_path / "root"
    directory.mkdir()
    (directory / "main.tf").write_text(MAIN % (TERRAFORM / "modules" / "autoscaling"))
    images = tmp_path / "images.json"
    images.write_text(json.dumps({"fake": {"serve": [sys.executable, "-m", "fakeserver"]}}))
    cloud = control.start(tmp_path / "cloud", images=images, lifetime=900)
    try:
        yield Root(directory, initialize(directory), cloud)
    finally:
        control.stop(tmp_path / "cloud")


def test_steps_and_schedules_apply_settle_and_go(root: Root) -> None:
    root.make_endpoint()
    root.terraform("apply", "-auto-approve")
    root.terraform("plan", "-detailed-exitcode")

    scaling = root.client("application-autoscaling")
    scaling.register_scalable_target(**TARGET, MinCapacity=3)  # as the scheduled action does in the morning
    root.terraform("plan", "-detailed-exitcode")

    # As the task `apply` does it, since SageMaker refuses another type for a variant that is registered. Its policies
    # and schedules go with the target, and come back with it.
    plan = root.terraform("plan", "-out=saved", "-var=instance_type=ml.c5.large")
    # Replaced: the type, the target, two policies, the schedule. Changed: the alarms, which name the policies.
    assert "Plan: 5 to add, 2 to change, 5 to destroy." in plan
    scaling.deregister_scalable_target(**TARGET)
    root.terraform("apply", "saved")
    names = {
        policy["PolicyName"]
        for policy in scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    }
    assert names == {"dogs-scale-out", "dogs-scale-in"}
    actions = scaling.describe_scheduled_actions(ServiceNamespace="sagemaker")["ScheduledActions"]
    assert [action["ScheduledActionName"] for action in actions] == ["dogs-morning"]
    root.terraform("plan", "-detailed-exitcode", "-var=instance_type=ml.c5.large")

    root.terraform("destroy", "-auto-approve")
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    assert root.client("cloudwatch").describe_alarms(AlarmNamePrefix="dogs-scale")["MetricAlarms"] == []
