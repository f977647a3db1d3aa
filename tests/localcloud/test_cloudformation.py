"""CloudFormation stacks with an endpoint and an inference component, which come into service, change and go."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud import control
from localcloud.control import CloudInfo
from tests.localcloud.endpoints import ROLE, Deployer, numbers, put_model

Client = Callable[[str], Any]


@pytest.fixture(scope="module")
def client(
    images: Path, tmp_path_factory: pytest.TempPathFactory, connect: Callable[[CloudInfo], Client]
) -> Iterator[Client]:
    state_dir = tmp_path_factory.mktemp("stacks")
    made = connect(control.start(state_dir, images=images, lifetime=600))
    put_model(made)
    yield made
    control.stop(state_dir)


class Stacks:
    """Makes a stack with an endpoint that takes inference components, and with one of these."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.cloudformation = client("cloudformation")
        self.sagemaker = client("sagemaker")
        self.deployer = Deployer(self.sagemaker)
        self.name = f"stack-{next(numbers)}"

    def template(self, model: str, *, config: str = "config", instance_type: str = "ml.m5.large") -> str:
        scaling = {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 2}
        variant = {"VariantName": "main", "InstanceType": instance_type, "InitialInstanceCount": 1}
        needs = {"MinMemoryRequiredInMb": 512, "NumberOfCpuCoresRequired": 1}
        resources = {
            "Component": {
                "Type": "AWS::SageMaker::InferenceComponent",
                "Properties": {
                    "InferenceComponentName": self.name,
                    "EndpointName": {"Fn::GetAtt": ["Endpoint", "EndpointName"]},
                    "VariantName": "main",
                    "RuntimeConfig": {"CopyCount": 1},
                    "Specification": {"ModelName": model, "ComputeResourceRequirements": needs},
                },
            },
            "Endpoint": {
                "Type": "AWS::SageMaker::Endpoint",
                "Properties": {
                    "EndpointName": self.name,
                    "EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]},
                },
            },
            "Config": {
                "Type": "AWS::SageMaker::EndpointConfig",
                "Properties": {
                    "EndpointConfigName": f"{self.name}-{config}",
                    "ExecutionRoleArn": ROLE,
                    "ProductionVariants": [{**variant, "ManagedInstanceScaling": scaling}],
                },
            },
        }
        outputs = {"Where": {"Value": {"Fn::GetAtt": ["Endpoint", "EndpointName"]}}}
        return json.dumps({"Resources": resources, "Outputs": outputs})

    def create(self, template: str) -> dict[str, Any]:
        tags = [{"Key": "whose", "Value": "ours"}]
        self.cloudformation.create_stack(StackName=self.name, TemplateBody=template, Tags=tags)
        return self.settled(self.name)

    def update(self, template: str) -> dict[str, Any]:
        self.cloudformation.update_stack(StackName=self.name, TemplateBody=template)
        return self.settled(self.name)

    def settled(self, name: str) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while (state := self.describe(name))["StackStatus"].endswith("_IN_PROGRESS"):
            assert time.monotonic() < deadline, state
            time.sleep(0.03)
        return state

    def describe(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        return found

    def reasons(self) -> str:
        events = self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return "\n".join(
            one.get("ResourceStatusReason", "") for one in events if one["ResourceStatus"].endswith("FAILED")
        )

    def greeting(self) -> str:
        answer = self.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=self.name, InferenceComponentName=self.name, Body="x"
        )
        return str(json.loads(answer["Body"].read())["greeting"])

    def left(self) -> list[str]:
        listed = (
            [one["EndpointName"] for one in self.sagemaker.list_endpoints()["Endpoints"]],
            [one["EndpointConfigName"] for one in self.sagemaker.list_endpoint_configs()["EndpointConfigs"]],
            [
                one["InferenceComponentName"]
                for one in self.sagemaker.list_inference_components()["InferenceComponents"]
            ],
        )
        return [name for names in listed for name in names if name.startswith(self.name)]


@pytest.fixture
def stacks(client: Client) -> Iterator[Stacks]:
    made = Stacks(client)
    yield made
    made.cloudformation.delete_stack(StackName=made.name)


def test_a_stack_makes_what_it_names_answers_and_goes(stacks: Stacks) -> None:
    template = stacks.template(stacks.deployer.model(GREETING="hello"))
    stack = stacks.create(template)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert [(one["OutputKey"], one["OutputValue"]) for one in stack["Outputs"]] == [("Where", stacks.name)]
    assert stacks.greeting() == "hello"
    kinds = [
        one["ResourceType"].rpartition(":")[2]
        for one in reversed(stacks.cloudformation.describe_stack_events(StackName=stacks.name)["StackEvents"])
        if one["ResourceStatus"] == "CREATE_COMPLETE"
    ]
    assert kinds == ["EndpointConfig", "Endpoint", "InferenceComponent", "Stack"]
    arn = stacks.sagemaker.describe_inference_component(InferenceComponentName=stacks.name)
    tags = stacks.sagemaker.list_tags(ResourceArn=arn["InferenceComponentArn"])["Tags"]
    assert tags == [{"Key": "whose", "Value": "ours"}]
    with pytest.raises(ClientError, match="No updates are to be performed"):
        stacks.update(template)

    stacks.cloudformation.delete_stack(StackName=stacks.name)
    assert stacks.settled(stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    assert stacks.left() == []


def test_a_stack_whose_model_does_not_start_is_rolled_back(stacks: Stacks) -> None:
    stack = stacks.create(stacks.template(stacks.deployer.model(DIE="1")))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "ping health check" in stacks.reasons()
    assert stacks.left() == []


def test_what_was_there_before_a_stack_stays(stacks: Stacks) -> None:
    there = stacks.deployer.up()
    template = stacks.template(stacks.deployer.model()).replace(
        f'"EndpointName": "{stacks.name}"', f'"EndpointName": "{there}"'
    )
    assert stacks.create(template)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "already existing endpoint" in stacks.reasons()
    assert stacks.deployer.describe(there)["EndpointStatus"] == "InService"
    stacks.deployer.delete(there)


def test_an_update_brings_another_model_and_a_failing_one_is_rolled_back(stacks: Stacks) -> None:
    stacks.create(stacks.template(stacks.deployer.model(GREETING="old")))
    good = stacks.template(stacks.deployer.model(GREETING="new"))
    assert stacks.update(good)["StackStatus"] == "UPDATE_COMPLETE"
    assert stacks.greeting() == "new"
    failed = stacks.update(stacks.template(stacks.deployer.model(DIE="1")))
    assert failed["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "ping health check" in stacks.reasons()
    assert stacks.greeting() == "new"
    kept = stacks.cloudformation.get_template(StackName=stacks.name)["TemplateBody"]
    assert kept == json.loads(good)


def test_another_configuration_takes_over_under_another_name_only(stacks: Stacks) -> None:
    model = stacks.deployer.model(GREETING="hello")
    stacks.create(stacks.template(model))
    refused = stacks.update(stacks.template(model, instance_type="ml.m5.xlarge"))
    assert refused["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "custom-named resource requires replacing" in stacks.reasons()
    moved = stacks.update(stacks.template(model, config="larger", instance_type="ml.m5.xlarge"))
    assert moved["StackStatus"] == "UPDATE_COMPLETE"
    endpoint = stacks.sagemaker.describe_endpoint(EndpointName=stacks.name)
    assert endpoint["EndpointConfigName"] == f"{stacks.name}-larger"
    assert stacks.greeting() == "hello"
    assert f"{stacks.name}-config" not in stacks.left()


def test_what_is_not_implemented_is_told(stacks: Stacks) -> None:
    template = json.dumps({"Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}}})
    with pytest.raises(ClientError, match="stacks with AWS::S3::Bucket"):
        stacks.cloudformation.create_stack(StackName=stacks.name, TemplateBody=template)
    with pytest.raises(ClientError, match="change sets"):
        stacks.cloudformation.create_change_set(
            StackName=stacks.name, ChangeSetName="change", TemplateBody=template, ChangeSetType="CREATE"
        )
