"""Inference components: copies of a model that are processes, down to none, in a cloud whose minute lasts a second."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud import control
from localcloud.control import CloudInfo
from tests.localcloud.endpoints import ROLE, Deployer, numbers, put_model
from tests.localcloud.training import check_answer

Client = Callable[[str], Any]

NEEDS = {"MinMemoryRequiredInMb": 512, "NumberOfCpuCoresRequired": 1}
NO_CAPACITY = "Inference Component has no capacity to process this request"


@pytest.fixture(scope="module")
def client(
    images: Path, tmp_path_factory: pytest.TempPathFactory, connect: Callable[[CloudInfo], Client]
) -> Iterator[Client]:
    state_dir = tmp_path_factory.mktemp("components")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCALCLOUD_SCALING_SPEED", "60")
        made = connect(control.start(state_dir, images=images, lifetime=600))
    put_model(made)
    yield made
    control.stop(state_dir)


class Components:
    """Makes an endpoint for inference components, and these."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.sagemaker = client("sagemaker")
        self.deployer = Deployer(self.sagemaker)
        self.endpoint = self.deployer.create(self.config())
        self.deployer.settled(self.endpoint)

    def config(self, role: str | None = ROLE, **more: Any) -> str:
        name = f"config-{next(numbers)}"
        scaling = {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 3}
        variant = {"VariantName": "main", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[{**variant, "ManagedInstanceScaling": scaling, **more}],
            **({"ExecutionRoleArn": role} if role else {}),
        )
        return name

    def specification(self, **environment: str) -> dict[str, Any]:
        return {"ModelName": self.deployer.model(**environment), "ComputeResourceRequirements": NEEDS}

    def create(self, copies: int = 1, **environment: str) -> str:
        name = f"component-{next(numbers)}"
        self.sagemaker.create_inference_component(
            InferenceComponentName=name,
            EndpointName=self.endpoint,
            VariantName="main",
            Specification=self.specification(**environment),
            RuntimeConfig={"CopyCount": copies},
        )
        return name

    def up(self, copies: int = 1, **environment: str) -> str:
        name = self.create(copies, **environment)
        assert self.settled(name)["InferenceComponentStatus"] == "InService"
        return name

    def describe(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.sagemaker.describe_inference_component(InferenceComponentName=name)
        check_answer("DescribeInferenceComponent", answer)
        return answer

    def settled(self, name: str) -> dict[str, Any]:
        return self.until(name, lambda state: state["InferenceComponentStatus"] in ("InService", "Failed"))

    def until(
        self, name: str, holds: Callable[[dict[str, Any]], bool], seconds: float = 60
    ) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while not holds(state := self.describe(name)):
            assert time.monotonic() < deadline, state
            time.sleep(0.03)
        return state

    def ask(self, name: str | None, body: str = "x") -> dict[str, Any]:
        component = {"InferenceComponentName": name} if name else {}
        answer = self.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=self.endpoint, Body=body, **component
        )
        said: dict[str, Any] = json.loads(answer["Body"].read())
        return said

    def refused(self, name: str | None) -> str:
        with pytest.raises(ClientError) as caught:
            self.ask(name)
        error = caught.value.response["Error"]
        return f"{error['Code']}: {error['Message']}"

    def instances(self) -> int:
        variant = self.deployer.describe(self.endpoint)["ProductionVariants"][0]
        return int(variant["CurrentInstanceCount"])

    def copies(self, name: str) -> tuple[int, int]:
        config = self.describe(name)["RuntimeConfig"]
        return config["DesiredCopyCount"], config["CurrentCopyCount"]

    def delete(self) -> None:
        for one in self.sagemaker.list_inference_components(EndpointNameEquals=self.endpoint)[
            "InferenceComponents"
        ]:
            name = one["InferenceComponentName"]
            self.settled(name)
            self.sagemaker.delete_inference_component(InferenceComponentName=name)
            with pytest.raises(ClientError, match="Could not find inference component"):
                self.until(name, lambda _: False)
        self.deployer.delete(self.endpoint)


@pytest.fixture
def components(client: Client) -> Iterator[Components]:
    made = Components(client)
    yield made
    made.delete()


def test_a_component_is_asked_by_its_name(components: Components) -> None:
    name = components.up(GREETING="hello")
    assert components.ask(name)["greeting"] == "hello"
    assert components.refused(None).startswith("ValidationError: Inference Component Name header is required")
    assert "not found" in components.refused("other")
    described = components.describe(name)
    assert described["Specification"]["ComputeResourceRequirements"] == NEEDS
    assert described["RuntimeConfig"] == {"DesiredCopyCount": 1, "CurrentCopyCount": 1}


def test_copies_are_processes_and_those_that_die_are_replaced(components: Components) -> None:
    name = components.up(copies=2)
    seen = {components.ask(name)["pid"] for _ in range(20)}
    assert len(seen) == 2
    assert components.instances() == 2
    dead = seen.pop()
    os.kill(dead, signal.SIGKILL)
    components.until(name, lambda state: state["RuntimeConfig"]["CurrentCopyCount"] == 1)
    components.until(name, lambda state: state["RuntimeConfig"]["CurrentCopyCount"] == 2)
    assert dead not in {components.ask(name)["pid"] for _ in range(20)}


def test_without_a_copy_there_is_no_capacity_and_a_metric_counts_it(components: Components) -> None:
    name = components.up(copies=0)
    assert components.instances() == 0
    assert components.refused(name).startswith(f"ValidationError: {NO_CAPACITY}")
    components.sagemaker.update_inference_component_runtime_config(
        InferenceComponentName=name, DesiredRuntimeConfig={"CopyCount": 1}
    )
    components.until(name, lambda state: state["InferenceComponentStatus"] == "InService")
    assert components.ask(name)["body"] == "x"
    metrics = components.client("cloudwatch").list_metrics(
        Namespace="AWS/SageMaker", Dimensions=[{"Name": "InferenceComponentName", "Value": name}]
    )["Metrics"]
    assert {"NoCapacityInvocationFailures", "Invocations", "InvocationsPerCopy"} <= {
        metric["MetricName"] for metric in metrics
    }


def test_an_update_brings_another_model_and_a_failing_one_changes_nothing(components: Components) -> None:
    name = components.up(GREETING="old")
    components.sagemaker.update_inference_component(
        InferenceComponentName=name, Specification=components.specification(GREETING="new")
    )
    components.settled(name)
    assert components.ask(name)["greeting"] == "new"
    components.sagemaker.update_inference_component(
        InferenceComponentName=name, Specification=components.specification(DIE="1")
    )
    assert "ping health check" in components.settled(name)["FailureReason"]
    assert components.ask(name)["greeting"] == "new"


def test_a_component_whose_server_does_not_come_up_fails(components: Components) -> None:
    state = components.settled(components.create(DIE="1"))
    assert state["InferenceComponentStatus"] == "Failed"
    assert "ping health check" in state["FailureReason"]


def test_an_endpoint_goes_after_its_components(components: Components) -> None:
    name = components.up(copies=0)
    with pytest.raises(ClientError, match=f"it has inference components \\({name}\\)"):
        components.sagemaker.delete_endpoint(EndpointName=components.endpoint)


@pytest.mark.long
def test_it_scales_to_zero_and_back(components: Components, client: Client) -> None:
    name = components.up()
    scaling = client("application-autoscaling")
    where = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"inference-component/{name}",
        "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount",
    }
    scaling.register_scalable_target(**where, MinCapacity=0, MaxCapacity=2)
    metric = "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution"
    scaling.put_scaling_policy(
        **where,
        PolicyName="track",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 5,
            "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
            "ScaleInCooldown": 0,
        },
    )
    step = scaling.put_scaling_policy(
        **where,
        PolicyName="leave-zero",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration={
            "AdjustmentType": "ChangeInCapacity",
            "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
            "Cooldown": 60,
        },
    )
    client("cloudwatch").put_metric_alarm(
        AlarmName=f"{name}-no-capacity",
        AlarmActions=[step["PolicyARN"]],
        Namespace="AWS/SageMaker",
        MetricName="NoCapacityInvocationFailures",
        Dimensions=[{"Name": "InferenceComponentName", "Value": name}],
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )
    components.until(name, lambda state: state["RuntimeConfig"]["CurrentCopyCount"] == 0)
    assert components.instances() == 0
    assert NO_CAPACITY in components.refused(name)
    components.until(name, lambda state: state["RuntimeConfig"]["CurrentCopyCount"] == 1)
    activities = scaling.describe_scaling_activities(**where)["ScalingActivities"]
    causes = [one["Cause"] for one in reversed(activities)]
    assert "policy track" in causes[0]
    assert "policy leave-zero" in causes[1]


def test_what_cannot_be_is_refused(components: Components) -> None:
    with pytest.raises(ClientError, match="ExecutionRoleArn is required"):
        components.config(role=None)
    with pytest.raises(ClientError, match="MinInstanceCount 0 needs ManagedInstanceScaling"):
        components.config(ManagedInstanceScaling={"MinInstanceCount": 0})
    with pytest.raises(ClientError, match="Exactly one of ModelName and Container"):
        components.sagemaker.create_inference_component(
            InferenceComponentName="x",
            EndpointName=components.endpoint,
            VariantName="main",
            Specification={"ComputeResourceRequirements": NEEDS},
            RuntimeConfig={"CopyCount": 1},
        )
    with pytest.raises(ClientError, match="takes no inference components"):
        components.sagemaker.create_inference_component(
            InferenceComponentName="x",
            EndpointName=components.endpoint,
            VariantName="other",
            Specification=components.specification(),
            RuntimeConfig={"CopyCount": 1},
        )
