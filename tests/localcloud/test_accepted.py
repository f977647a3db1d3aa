from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from localcloud.accepted import accepted_only
from localcloud.control import CloudInfo
from tests.localcloud.endpoints import make_role

ROLE = "arn:aws:iam::123456789012:role/accepted"


def bucket_with_lifecycle(client: Callable[[str], Any]) -> None:
    client("s3").create_bucket(Bucket="expiring")
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    client("s3").put_bucket_lifecycle_configuration(
        Bucket="expiring", LifecycleConfiguration={"Rules": [rule]}
    )


def alarm(client: Callable[[str], Any]) -> None:
    client("cloudwatch").put_metric_alarm(
        AlarmName="a",
        Namespace="n",
        MetricName="m",
        ComparisonOperator="GreaterThanThreshold",
        Threshold=0,
        EvaluationPeriods=1,
        Period=60,
        Statistic="Sum",
        AlarmActions=["arn:aws:sns:us-east-1:123456789012:topic"],
    )
    client("cloudwatch").delete_alarms(AlarmNames=["a"])


@pytest.fixture(scope="module", autouse=True)
def role(client: Callable[[str], Any]) -> None:
    make_role(client("iam"), ROLE)


def machine(client: Callable[[str], Any]) -> None:
    image = client("ec2").describe_images()["Images"][0]["ImageId"]
    made = client("ec2").run_instances(ImageId=image, MinCount=1, MaxCount=1)
    client("ec2").terminate_instances(InstanceIds=[made["Instances"][0]["InstanceId"]])


def notebook(client: Callable[[str], Any]) -> None:
    client("sagemaker").create_notebook_instance(
        NotebookInstanceName="accepted",
        InstanceType="ml.t3.medium",
        RoleArn=ROLE,
    )


def model(client: Callable[[str], Any]) -> None:
    client("sagemaker").create_model(
        ModelName="isolated",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": "i"},
        EnableNetworkIsolation=True,
    )


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("PutBucketLifecycleConfiguration", bucket_with_lifecycle),
        ("PutMetricAlarm with actions", alarm),
        ("RunInstances", machine),
        ("CreateNotebookInstance", notebook),
        ("CreateModel with EnableNetworkIsolation", model),
    ],
)
def test_what_is_not_carried_out_is_said_in_the_log(
    client: Callable[[str], Any],
    cloud: CloudInfo,
    operation: str,
    call: Callable[[Callable[[str], Any]], None],
) -> None:
    call(client)
    line = f"WARNING localcloud.accepted {operation} is accepted and not carried out"
    assert cloud.log_file.read_text().count(line) == 1


def test_status_tells_what_is_not_carried_out(cloud: CloudInfo) -> None:
    command = [sys.executable, "-m", "localcloud", "status", "--state-dir", str(cloud.log_file.parent)]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=30).stdout)
    assert (said["pid"], said["accepted_only"]) == (cloud.pid, accepted_only())
