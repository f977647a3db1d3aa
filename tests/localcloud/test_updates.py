"""Updates of endpoints, under load: no request may be lost, whatever becomes of the update."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.sagemaker.exceptions import ValidationError

from localcloud.sagemaker.rollout import Rollout, RolloutError
from tests.localcloud.endpoints import Deployer, Load

Client = Callable[[str], Any]


def rolling(batch: int, wait: int = 0) -> dict[str, Any]:
    size = {"Type": "INSTANCE_COUNT", "Value": batch}
    return {"RollingUpdatePolicy": {"MaximumBatchSize": size, "WaitIntervalInSeconds": wait}}


def shifting(kind: str, wait: int = 0, **size: Any) -> dict[str, Any]:
    routing = {"Type": kind, "WaitIntervalInSeconds": wait, **size}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}


HALF = {"Type": "CAPACITY_PERCENT", "Value": 50}


@pytest.mark.parametrize(
    "rollout",
    [
        shifting("ALL_AT_ONCE"),
        shifting("CANARY", 1, CanarySize={"Type": "INSTANCE_COUNT", "Value": 1}),
        shifting("LINEAR", 1, LinearStepSize=HALF),
        rolling(1, 1),
    ],
    ids=["all at once", "canary", "linear", "rolling"],
)
@pytest.mark.parametrize("works", [True, False], ids=["that works", "that fails"])
def test_an_update_loses_no_request(
    fast: Client, deployer: Deployer, rollout: dict[str, Any], works: bool
) -> None:
    name = deployer.up(2, GREETING="old")
    before = deployer.describe(name)["EndpointConfigName"]
    environment = {"GREETING": "new"} if works else {"DIE": "1"}
    config = deployer.config(deployer.model(**environment), 2)
    with Load(fast, name, b"sleep 0.05", threads=4) as load:
        deployer.sagemaker.update_endpoint(
            EndpointName=name, EndpointConfigName=config, DeploymentConfig=rollout
        )
        state = deployer.settled(name)
        asked = len(load.greetings)
        deadline = time.monotonic() + 30
        while len(load.greetings) < asked + 20:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert state["EndpointStatus"] == "InService"
    assert state["EndpointConfigName"] == (config if works else before)
    assert ("FailureReason" in state) is not works
    live = state["ProductionVariants"][0]
    assert (live["CurrentInstanceCount"], live["DesiredInstanceCount"]) == (2, 2)
    assert set(load.greetings[-16:]) == {"new" if works else "old"}


def test_a_rolling_update_never_has_more_than_a_batch_beside_the_old_fleet(
    fast: Client, deployer: Deployer
) -> None:
    name = deployer.up(4, GREETING="old")
    config = deployer.config(deployer.model(GREETING="new"), 4)
    deployer.sagemaker.update_endpoint(
        EndpointName=name, EndpointConfigName=config, DeploymentConfig=rolling(2)
    )
    most, least = 0, 4
    deadline = time.monotonic() + 60
    while (state := deployer.describe(name))["EndpointStatus"] != "InService":
        assert time.monotonic() < deadline
        old = state["ProductionVariants"][0]["CurrentInstanceCount"]
        pending = state.get("PendingDeploymentSummary")
        new = pending["ProductionVariants"][0]["CurrentInstanceCount"] if pending else 0
        if state["EndpointConfigName"] != config:
            most, least = max(most, old + new), min(least, old + new)
    assert state["EndpointConfigName"] == config
    assert most <= 6
    assert least >= 4


def test_errors_of_the_new_model_set_off_the_alarm_that_rolls_it_back(
    fast: Client, deployer: Deployer
) -> None:
    name = deployer.up()
    before = deployer.describe(name)["EndpointConfigName"]
    fast("cloudwatch").put_metric_alarm(
        AlarmName="errors",
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=[{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "main"}],
        ComparisonOperator="GreaterThanThreshold",
        Threshold=0,
        EvaluationPeriods=1,
        Period=60,
        Statistic="Sum",
        TreatMissingData="notBreaching",
    )
    rollout = {
        **shifting("ALL_AT_ONCE", 60),
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
    }
    config = deployer.config(deployer.model(GREETING="new"))
    deployer.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, DeploymentConfig=rollout)
    deadline = time.monotonic() + 50
    while (state := deployer.describe(name))["EndpointStatus"] == "Updating":
        assert time.monotonic() < deadline, state
        with pytest.raises(ClientError, match="ModelError"):
            fast("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"status 500")
    state = deployer.settled(name)
    assert (state["EndpointStatus"], state["EndpointConfigName"]) == ("InService", before)
    assert "in ALARM: errors" in state["FailureReason"]
    fast("cloudwatch").delete_alarms(AlarmNames=["errors"])


def test_a_killed_instance_is_replaced_and_its_loss_is_in_the_metrics(
    fast: Client, deployer: Deployer
) -> None:
    name = deployer.up()
    runtime = fast("sagemaker-runtime")
    pid = json.loads(runtime.invoke_endpoint(EndpointName=name, Body=b"x")["Body"].read())["pid"]
    errors: list[ClientError] = []

    def ask() -> None:
        with pytest.raises(ClientError) as caught:
            runtime.invoke_endpoint(EndpointName=name, Body=b"sleep 20")
        errors.append(caught.value)

    asker = threading.Thread(target=ask)
    asker.start()
    until_seen(fast, name, "ConcurrentRequestsPerModel", "Maximum", lambda value: value >= 0.9)
    os.kill(pid, signal.SIGKILL)
    asker.join()
    error: Any = errors[0].response
    assert (error["Error"]["Code"], error["OriginalStatusCode"]) == ("ModelError", 0)
    until_seen(fast, name, "Invocation5XXErrors", "Sum", lambda value: value == 1)
    assert served_again(runtime, name) != pid


def served_again(runtime: Any, name: str) -> int:
    """The process that answers once there is an instance."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return int(
                json.loads(runtime.invoke_endpoint(EndpointName=name, Body=b"x")["Body"].read())["pid"]
            )
        except runtime.exceptions.ServiceUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def until_seen(
    client: Client, name: str, metric: str, statistic: str, wanted: Callable[[float], bool]
) -> None:
    deadline = time.monotonic() + 30
    now = datetime.now(UTC)
    while True:
        found = client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "main"}],
            StartTime=now - timedelta(minutes=5),
            EndTime=now + timedelta(minutes=5),
            Period=600,
            Statistics=[statistic],
        )["Datapoints"]
        if found and wanted(found[0][statistic]):
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


# What is refused


@pytest.mark.parametrize(
    ("config", "size", "message"),
    [
        (rolling(3), 4, "MaximumBatchSize must be 5% to 50% of the fleet"),
        ({**rolling(1), **shifting("ALL_AT_ONCE")}, 4, "Only one of BlueGreenUpdatePolicy and RollingUpdate"),
        (shifting("LINEAR"), 4, "LinearStepSize must be specified for traffic routing type LINEAR"),
        (
            shifting("LINEAR", LinearStepSize={"Type": "CAPACITY_PERCENT", "Value": 5}),
            4,
            "LinearStepSize must be 10% to 50% of the fleet",
        ),
        (
            shifting("CANARY", CanarySize={"Type": "INSTANCE_COUNT", "Value": 3}),
            4,
            "CanarySize must be at most 50% of the fleet",
        ),
    ],
)
def test_a_deployment_that_aws_refuses_is_refused(config: dict[str, Any], size: int, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Rollout(config, size, "123456789012", "us-east-1")
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("config", "size", "shares"),
    [
        (None, 3, [1.0]),
        (shifting("CANARY", CanarySize={"Type": "INSTANCE_COUNT", "Value": 1}), 4, [0.25, 1.0]),
        (shifting("CANARY", CanarySize={"Type": "INSTANCE_COUNT", "Value": 1}), 1, [1.0]),
        (shifting("LINEAR", LinearStepSize=HALF), 4, [0.5, 1.0]),
        (
            shifting("LINEAR", LinearStepSize={"Type": "CAPACITY_PERCENT", "Value": 40}),
            4,
            [0.4, 0.8, 1.0],
        ),
        (rolling(1), 4, [0.25, 0.5, 0.75, 1.0]),
    ],
)
def test_traffic_follows_in_the_steps_that_were_asked_for(
    config: dict[str, Any] | None, size: int, shares: list[float]
) -> None:
    assert Rollout(config, size, "123456789012", "us-east-1").shares == pytest.approx(shares)


def test_a_deployment_that_takes_too_long_is_rolled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    config = shifting("ALL_AT_ONCE", 3600)
    config["BlueGreenUpdatePolicy"]["MaximumExecutionTimeoutInSeconds"] = 600
    rollout = Rollout(config, 1, "123456789012", "us-east-1")
    later = time.monotonic() + 601
    monkeypatch.setattr("localcloud.sagemaker.rollout.time.monotonic", lambda: later)
    with pytest.raises(RolloutError, match="took longer than 600 s"):
        rollout.run(lambda _: None, threading.Event())
