"""What services do in a role's name, and what they do not where the role may not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.endpoints import ACCOUNT, IMAGE, Deployer, make_role, numbers
from tests.localcloud.functions.conftest import package
from tests.waiting import wait_for

Client = Callable[[str], Any]

pytestmark = pytest.mark.usefixtures("bucket")


def role(client: Client, service: str, *actions: str) -> str:
    arn = f"arn:aws:iam::{ACCOUNT}:role/worker-{next(numbers)}"
    make_role(client("iam"), arn, f"{service}.amazonaws.com", *actions)
    return arn


def network(client: Client) -> dict[str, Any]:
    subnet = client("ec2").describe_subnets()["Subnets"][0]
    groups = client("ec2").describe_security_groups()["SecurityGroups"]
    group = next(one["GroupId"] for one in groups if one["VpcId"] == subnet["VpcId"])
    return {"subnet": subnet["SubnetId"], "group": group}


def interfaces(client: Client) -> set[str]:
    found = client("ec2").describe_network_interfaces()["NetworkInterfaces"]
    return {one["NetworkInterfaceId"] for one in found}


def create_function(client: Client, arn: str, **more: Any) -> str:
    name = f"worker-{next(numbers)}"
    code = {"ZipFile": package("def handler(event, context):\n    return event\n")}
    client("lambda").create_function(
        FunctionName=name, Role=arn, Runtime="python3.12", Handler="app.handler", Code=code, **more
    )
    return name


def test_a_role_that_does_not_let_the_service_in_is_refused_in_the_services_words(client: Client) -> None:
    arn = role(client, "ec2")
    with pytest.raises(ClientError, match=f"Could not assume role {arn}. Please ensure that the role exists"):
        client("sagemaker").create_model(
            ModelName="m", ExecutionRoleArn=arn, PrimaryContainer={"Image": IMAGE}
        )
    with pytest.raises(ClientError, match="The role defined for the function cannot be assumed by Lambda"):
        create_function(client, arn)
    with pytest.raises(ClientError, match="Could not assume role"):
        client("sagemaker").create_notebook_instance(
            NotebookInstanceName="n", InstanceType="ml.t3.medium", RoleArn=arn
        )


def test_a_model_whose_role_may_not_read_it_is_refused(client: Client) -> None:
    with pytest.raises(ClientError, match=r"Could not access model data at s3://models/model\.tar\.gz"):
        client("sagemaker").create_model(
            ModelName="m",
            ExecutionRoleArn=role(client, "sagemaker", "ecr:*"),
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": "s3://models/model.tar.gz"},
        )


def test_an_image_that_the_role_may_not_pull_fails_the_endpoint(client: Client) -> None:
    arn = role(client, "sagemaker", "s3:*", "ecr:GetAuthorizationToken")
    deployer = Deployer(client("sagemaker"))
    name = f"model-{next(numbers)}"
    client("sagemaker").create_model(
        ModelName=name,
        ExecutionRoleArn=arn,
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": "s3://models/model.tar.gz"},
    )
    state = deployer.settled(deployer.create(deployer.config(name)))
    assert state["FailureReason"] == (
        f"The role '{arn}' does not have BatchGetImage permission for the image: '{IMAGE}'."
    )
    deployer.delete(deployer.endpoints[0])


def test_requests_are_captured_in_the_models_name(client: Client) -> None:
    sagemaker, deployer = client("sagemaker"), Deployer(client("sagemaker"))
    config = f"config-{next(numbers)}"
    sagemaker.create_endpoint_config(
        EndpointConfigName=config,
        ProductionVariants=[
            {
                "VariantName": "main",
                "ModelName": deployer.model(),
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
            }
        ],
        DataCaptureConfig={
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": "s3://models/captured",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        },
    )
    name = deployer.create(config)
    assert deployer.settled(name)["DataCaptureConfig"]["CaptureStatus"] == "Started"
    client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"x", ContentType="image/png")
    s3 = client("s3")
    at = {"Bucket": "models", "Prefix": f"captured/{name}/main/"}
    wait_for(lambda: s3.list_objects_v2(**at)["KeyCount"] == 1, "the request is recorded", 20)
    key = s3.list_objects_v2(**at)["Contents"][0]["Key"]
    record = json.loads(s3.get_object(Bucket="models", Key=key)["Body"].read())
    assert record["captureData"]["endpointInput"]["data"] == "eA=="
    assert json.loads(record["captureData"]["endpointOutput"]["data"])["body"] == "x"
    deployer.delete(name)


def test_a_function_in_a_vpc_has_its_interfaces_made_and_deleted_by_its_role(client: Client) -> None:
    at = network(client)
    vpc = {"SubnetIds": [at["subnet"]], "SecurityGroupIds": [at["group"]]}
    before = interfaces(client)
    name = create_function(client, role(client, "lambda", "ec2:*", "logs:*"), VpcConfig=vpc)
    assert len(interfaces(client) - before) == 1
    assert json.loads(client("lambda").invoke(FunctionName=name, Payload=b"1")["Payload"].read()) == 1
    client("lambda").delete_function(FunctionName=name)
    assert interfaces(client) == before
    said = "The provided execution role does not have permissions to call CreateNetworkInterface on EC2"
    looks = role(client, "lambda", "ec2:Describe*")
    with pytest.raises(ClientError, match=said):
        create_function(client, looks, VpcConfig=vpc)
    assert interfaces(client) == before


def test_a_notebook_whose_role_may_not_attach_it_fails(client: Client) -> None:
    at, sagemaker = network(client), client("sagemaker")
    name = f"book-{next(numbers)}"
    sagemaker.create_notebook_instance(
        NotebookInstanceName=name,
        InstanceType="ml.t3.medium",
        RoleArn=role(client, "sagemaker", "logs:*"),
        SubnetId=at["subnet"],
        SecurityGroupIds=[at["group"]],
    )
    state = sagemaker.describe_notebook_instance(NotebookInstanceName=name)
    assert state["NotebookInstanceStatus"] == "Failed"
    assert "not authorized to perform: ec2:DescribeSubnets" in state["FailureReason"]
    sagemaker.delete_notebook_instance(NotebookInstanceName=name)
