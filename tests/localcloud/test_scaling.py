"""Variants of endpoints that scale with their load: real server processes, in a cloud whose minute lasts a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.process_identity import start_mark
from tests.localcloud.endpoints import Deployer, Load

SPEED = 60.0
Client = Callable[[str], Any]


class Scaled:
    def __init__(self, client: Client, deployer: Deployer, endpoint: str) -> None:
        self.client, self.deployer, self.endpoint = client, deployer, endpoint
        self.scaling = client("application-autoscaling")
        self.cloudwatch = client("cloudwatch")
        self.where = {
            "ServiceNamespace": "sagemaker",
            "ResourceId": f"endpoint/{endpoint}/variant/main",
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        }

    def register(self, least: int, most: int, **more: Any) -> None:
        self.scaling.register_scalable_target(**self.where, MinCapacity=least, MaxCapacity=most, **more)

    def track(self, target: float, metric: str = "SageMakerVariantInvocationsPerInstance") -> dict[str, Any]:
        answer: dict[str, Any] = self.scaling.put_scaling_policy(
            **self.where,
            PolicyName="track",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": target,
                "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
                "ScaleOutCooldown": 10,
                "ScaleInCooldown": 10,
            },
        )
        return answer

    def activities(self, *, all_: bool = False) -> list[dict[str, Any]]:
        answer = self.scaling.describe_scaling_activities(
            ServiceNamespace="sagemaker",
            ResourceId=self.where["ResourceId"],
            IncludeNotScaledActivities=all_,
        )
        return list(answer["ScalingActivities"])

    def until_count(self, count: int, seconds: float = 60) -> dict[str, Any]:
        def there(state: dict[str, Any]) -> bool:
            live = state["ProductionVariants"][0]
            return live["CurrentInstanceCount"] == live["DesiredInstanceCount"] == count

        return self.deployer.until(self.endpoint, there, seconds)

    def until(self, wanted: Callable[[dict[str, Any]], bool], seconds: float = 60) -> dict[str, Any]:
        """The newest activity that is as wanted."""
        deadline = time.monotonic() + seconds
        while not (found := [one for one in self.activities(all_=True) if wanted(one)]):
            assert time.monotonic() < deadline, f"last seen: {self.activities(all_=True)}"
            time.sleep(0.1)
        return found[0]


@pytest.fixture
def scaled(fast: Client, deployer: Deployer) -> Scaled:
    return Scaled(fast, deployer, deployer.up())


@pytest.mark.long
def test_server_processes_come_and_go_with_the_load(fast: Client, scaled: Scaled) -> None:
    scaled.register(1, 3)
    answer = scaled.track(300.0)  # a minute; the load is some 1,500
    names = [alarm["AlarmName"] for alarm in answer["Alarms"]]
    assert [name.rpartition("-Alarm")[0] for name in names] == [
        f"TargetTracking-endpoint/{scaled.endpoint}/variant/main"
    ] * 2
    with Load(fast, scaled.endpoint) as load:
        scaled.until_count(3)
        scaled.deployer.settled(scaled.endpoint)
        load.pids.clear()
        deadline = time.monotonic() + 30
        while len(load.pids) < 3:
            assert time.monotonic() < deadline, f"only {load.pids} answered"
            time.sleep(0.05)
        pids = set(load.pids)
    newest = scaled.until(lambda one: one["StatusCode"] == "Successful")
    assert newest["Description"] == "Setting desired instance count to 3."
    assert newest["StatusMessage"] == (
        "Successfully set desired instance count to 3. Change successfully fulfilled by sagemaker."
    )
    assert newest["Cause"] == f"monitor alarm {names[0]} in state ALARM triggered policy track"
    assert newest["StartTime"] < newest["EndTime"]
    history = scaled.cloudwatch.describe_alarm_history(AlarmName=names[0])["AlarmHistoryItems"]
    assert "to ALARM" in " ".join(item["HistorySummary"] for item in history)
    scaled.until_count(1)
    scaled.deployer.settled(scaled.endpoint)  # the others have answered what they had, and ended
    assert len(pids) == 3
    assert [start_mark(pid) is not None for pid in pids].count(True) == 1
    cause = f"monitor alarm {names[1]} in state ALARM triggered policy track"
    scaled.until(lambda one: (one["StatusCode"], one["Cause"]) == ("Successful", cause))
    reasons = [{"Code": "AlreadyAtMinCapacity", "MinCapacity": 1}]
    unmoved = scaled.until(lambda one: one.get("NotScaledReasons") == reasons)
    assert unmoved not in scaled.activities()
    scaled.scaling.delete_scaling_policy(**scaled.where, PolicyName="track")
    assert scaled.cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"] == []


def test_requests_in_flight_scale_out_by_the_high_resolution_metric(fast: Client, scaled: Scaled) -> None:
    scaled.register(1, 2)
    scaled.track(0.5, "SageMakerVariantConcurrentRequestsPerModelHighResolution")
    with Load(fast, scaled.endpoint, b"sleep 0.3"):
        scaled.until_count(2)
    alarm = scaled.cloudwatch.describe_alarms(AlarmNamePrefix="TargetTracking")["MetricAlarms"][0]
    assert (alarm["Period"], alarm["MetricName"]) == (10, "ConcurrentRequestsPerModel")


def test_while_scaling_is_suspended_alarms_ring_and_nothing_scales(fast: Client, scaled: Scaled) -> None:
    kinds = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
    scaled.register(1, 2, SuspendedState=dict.fromkeys(kinds, True))
    names = [alarm["AlarmName"] for alarm in scaled.track(300.0)["Alarms"]]
    with Load(fast, scaled.endpoint):
        deadline = time.monotonic() + 60
        while not scaled.cloudwatch.describe_alarms(AlarmNames=names, StateValue="ALARM")["MetricAlarms"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        passed = time.monotonic() + 3 * 60 / SPEED
        while time.monotonic() < passed:
            assert scaled.activities(all_=True) == []
        scaled.scaling.register_scalable_target(
            **scaled.where, SuspendedState=dict.fromkeys(kinds, False)
        )  # as apply gives it back: the limits stay
        scaled.until_count(2)
    target = scaled.scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"][0]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 2)
    assert target["SuspendedState"] == dict.fromkeys(kinds, False)


def stat(name: str) -> dict[str, Any]:
    metric = {"Namespace": "Own", "MetricName": name}
    return {"Id": name, "ReturnData": False, "MetricStat": {"Metric": metric, "Stat": "Maximum"}}


@pytest.mark.parametrize(
    "metric",
    [
        {"Namespace": "Own", "MetricName": "waiting", "Statistic": "Maximum"},
        {
            "Metrics": [
                stat("waiting"),
                stat("taken"),
                {"Id": "left", "Expression": "waiting - FILL(taken, 1)"},
            ]
        },
    ],
    ids=["one", "arithmetic"],
)
def test_a_variant_follows_a_customized_metric(scaled: Scaled, metric: dict[str, Any]) -> None:
    scaled.register(1, 2)
    policy = scaled.scaling.put_scaling_policy(
        **scaled.where,
        PolicyName="own",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={"TargetValue": 2, "CustomizedMetricSpecification": metric},
    )
    deadline = time.monotonic() + 30
    while not scaled.activities():
        assert time.monotonic() < deadline
        data = [{"MetricName": "waiting", "Value": 4.0}]
        scaled.cloudwatch.put_metric_data(Namespace="Own", MetricData=data)
        time.sleep(0.1)
    scaled.until_count(2)
    names = [alarm["AlarmName"] for alarm in policy["Alarms"]]
    assert scaled.activities()[-1]["Cause"] == f"monitor alarm {names[0]} in state ALARM triggered policy own"
    seen = scaled.cloudwatch.describe_alarms(AlarmNames=names[:1])["MetricAlarms"][0]
    assert [one["Id"] for one in seen["Metrics"]] == [one["Id"] for one in metric.get("Metrics", [])]


def test_a_customized_metric_that_could_not_be_read_is_refused(scaled: Scaled) -> None:
    scaled.register(1, 2)
    metric = {"Namespace": "Own", "MetricName": "waiting", "Statistic": "Maximum"}
    expression = {"Id": "left", "Expression": "ANOMALY_DETECTION_BAND(waiting)"}
    queried = stat("waiting")
    queried["MetricStat"]["Stat"] = "tm90"
    for wrong, message in (
        ({**metric, "Statistic": "tm90"}, "tm90"),
        ({"MetricName": "waiting", "Statistic": "Maximum"}, "Namespace, MetricName and a statistic must be"),
        ({"Metrics": [stat("waiting")]}, "must return data"),
        ({"Metrics": [stat("waiting"), expression]}, "metric math"),
        (
            {"Metrics": [queried, {"Id": "left", "Expression": "waiting"}]},
            "target tracking on the statistic tm90",
        ),
    ):
        with pytest.raises(ClientError, match=message):
            scaled.scaling.put_scaling_policy(
                **scaled.where,
                PolicyName="own",
                PolicyType="TargetTrackingScaling",
                TargetTrackingScalingPolicyConfiguration={
                    "TargetValue": 2,
                    "CustomizedMetricSpecification": wrong,
                },
            )


def test_a_change_of_the_limits_scales_at_once(scaled: Scaled) -> None:
    scaled.register(2, 3)
    scaled.until_count(2)
    assert scaled.until(lambda one: True)["Cause"] == "minimum capacity was set to 2"
    scaled.register(1, 1)
    scaled.until_count(1)
    assert scaled.until(lambda one: True)["Cause"] == "maximum capacity was set to 1"


def test_instances_that_there_are_not_fail_the_activity(scaled: Scaled) -> None:
    scaled.register(7, 8)  # of 6
    failed = scaled.until(lambda one: one["StatusCode"] == "Failed")
    assert failed["StatusMessage"].startswith(
        "Failed to set desired instance count to 7. Reason: Unable to provision requested ML compute capacity due "
        "to InsufficientInstanceCapacity error."
    )
    scaled.register(1, 4)
    state = scaled.until_count(1)
    assert "InsufficientInstanceCapacity" in scaled.deployer.settled(scaled.endpoint)["FailureReason"]
    assert state["ProductionVariants"][0]["CurrentInstanceCount"] == 1


def test_an_update_for_which_there_are_no_instances_rolls_back(scaled: Scaled) -> None:
    before = scaled.deployer.describe(scaled.endpoint)["EndpointConfigName"]
    config = scaled.deployer.config(scaled.deployer.model(), 6)
    scaled.deployer.sagemaker.update_endpoint(EndpointName=scaled.endpoint, EndpointConfigName=config)
    state = scaled.deployer.settled(scaled.endpoint)
    assert (state["EndpointStatus"], state["EndpointConfigName"]) == ("InService", before)
    assert "InsufficientInstanceCapacity" in state["FailureReason"]
    assert state["ProductionVariants"][0]["CurrentInstanceCount"] == 1


def test_a_step_policy_scales_when_its_alarm_goes_off(scaled: Scaled) -> None:
    scaled.register(1, 3)
    policy = scaled.scaling.put_scaling_policy(
        **scaled.where,
        PolicyName="steps",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration={
            "AdjustmentType": "ChangeInCapacity",
            "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 2}],
            "Cooldown": 60,
        },
    )
    scaled.cloudwatch.put_metric_alarm(
        AlarmName="queue",
        Namespace="Own",
        MetricName="queue",
        ComparisonOperator="GreaterThanThreshold",
        Threshold=5,
        EvaluationPeriods=1,
        Period=60,
        Statistic="Maximum",
        AlarmActions=[policy["PolicyARN"]],
    )
    described = scaled.scaling.describe_scaling_policies(ServiceNamespace="sagemaker", PolicyNames=["steps"])
    assert [one["AlarmName"] for one in described["ScalingPolicies"][0]["Alarms"]] == ["queue"]
    deadline = time.monotonic() + 30
    while not scaled.activities():
        assert time.monotonic() < deadline
        scaled.cloudwatch.put_metric_data(Namespace="Own", MetricData=[{"MetricName": "queue", "Value": 9.0}])
        time.sleep(0.1)
    scaled.until_count(3)
    assert scaled.activities()[-1]["Cause"] == "monitor alarm queue in state ALARM triggered policy steps"
    scaled.scaling.delete_scaling_policy(**scaled.where, PolicyName="steps")
    assert len(scaled.cloudwatch.describe_alarms(AlarmNames=["queue"])["MetricAlarms"]) == 1
    scaled.cloudwatch.delete_alarms(AlarmNames=["queue"])


def test_a_scheduled_action_changes_the_limits_unless_it_is_suspended(scaled: Scaled) -> None:
    scaled.register(1, 3, SuspendedState={"ScheduledScalingSuspended": True})
    scaled.scaling.put_scheduled_action(
        **scaled.where,
        ScheduledActionName="often",
        Schedule="rate(1 minute)",  # a second here
        ScalableTargetAction={"MinCapacity": 2},
    )
    passed = time.monotonic() + 2.5 * 60 / SPEED
    while time.monotonic() < passed:
        assert scaled.activities() == []
    scaled.register(1, 3, SuspendedState={"ScheduledScalingSuspended": False})
    scaled.until_count(2)
    causes = [one["Cause"] for one in scaled.activities()]
    assert causes[-2:] == ["minimum capacity was set to 2", "scheduled action name often was triggered"]
    target = scaled.scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"][0]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 3)
    with pytest.raises(ClientError, match="No scheduled action found") as caught:
        scaled.scaling.delete_scheduled_action(**scaled.where, ScheduledActionName="never")
    assert caught.value.response["Error"]["Code"] == "ObjectNotFoundException"
