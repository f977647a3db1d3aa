from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localcloud import control
from localcloud.control import CloudInfo
from localcloud.process_identity import start_mark
from tests.localcloud.endpoints import ACCOUNT, ENDPOINTS, IMAGE, ROLE, Deployer, archive, numbers, put_model

Client = Callable[[str], Any]

NO_PING = (
    "The primary container for production variant main did not pass the ping health check. "
    "Please check CloudWatch logs for this endpoint."
)


@pytest.fixture
def deployer(client: Client, bucket: str) -> Iterator[Deployer]:
    deployer = Deployer(client("sagemaker"))
    yield deployer
    for name in deployer.endpoints:
        deployer.delete(name)


@pytest.fixture
def invoke(client: Client) -> Callable[..., dict[str, Any]]:
    def call(endpoint: str, body: bytes = b"x", **options: str) -> dict[str, Any]:
        answer = client("sagemaker-runtime").invoke_endpoint(EndpointName=endpoint, Body=body, **options)
        return {**json.loads(answer["Body"].read()), **answer}

    return call


def test_an_endpoint_runs_the_model_server_from_the_archive(
    deployer: Deployer, invoke: Callable[..., dict[str, Any]]
) -> None:
    config = deployer.config(deployer.model(GREETING="hello"))
    name = deployer.create(config)
    assert deployer.describe(name)["EndpointStatus"] == "Creating"
    state = deployer.settled(name)
    assert state["EndpointStatus"] == "InService"
    assert state["EndpointConfigName"] == config
    assert state["EndpointArn"] == f"{ENDPOINTS}/{name}"
    assert state["ProductionVariants"][0] == {
        "VariantName": "main",
        "DeployedImages": state["ProductionVariants"][0]["DeployedImages"],
        "CurrentWeight": 1.0,
        "DesiredWeight": 1.0,
        "CurrentInstanceCount": 1,
        "DesiredInstanceCount": 1,
    }
    assert state["ProductionVariants"][0]["DeployedImages"][0]["SpecifiedImage"] == IMAGE
    answer = invoke(name, b"\xff\xd8", ContentType="image/jpeg", Accept="application/json;verbose=1")
    assert (answer["greeting"], answer["weights"], answer["body"]) == ("hello", "w1", "\xff\xd8")
    assert (answer["type"], answer["accept"]) == ("image/jpeg", "application/json;verbose=1")
    assert answer["InvokedProductionVariant"] == "main"
    assert answer["CustomAttributes"] == "echo"
    assert answer["ContentType"] == "application/json"


def test_a_body_that_looks_like_a_form_arrives_whole(
    deployer: Deployer, invoke: Callable[..., dict[str, Any]]
) -> None:
    name = deployer.up()
    answer = invoke(name, b"a=1&b=%20", ContentType="application/x-www-form-urlencoded")
    assert answer["body"] == "a=1&b=%20"


def test_a_container_that_ends_fails_the_endpoint_and_leaves_its_output_in_the_logs(
    deployer: Deployer, client: Client
) -> None:
    name = deployer.create(deployer.config(deployer.model(DIE="1"), 2))
    state = deployer.settled(name)
    assert (state["EndpointStatus"], state["FailureReason"]) == ("Failed", NO_PING)
    group = f"/aws/sagemaker/Endpoints/{name}"
    stream = client("logs").describe_log_streams(logGroupName=group)["logStreams"][0]["logStreamName"]
    assert stream.startswith("main/i-")
    events = client("logs").get_log_events(logGroupName=group, logStreamName=stream)["events"]
    assert [event["message"] for event in events][-1] == "no model in here"


def test_a_container_that_never_answers_the_ping_fails_at_the_deadline(
    deployer: Deployer, cloud: CloudInfo
) -> None:
    unchecked = boto3.client(  # SageMaker takes no less than 60 s, and boto3 says so
        "sagemaker",
        endpoint_url=cloud.endpoint_url,
        region_name=cloud.region,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(parameter_validation=False),
    )
    model = deployer.model(PING="500")
    config = Deployer(unchecked).config(model, ContainerStartupHealthCheckTimeoutInSeconds=1)
    state = deployer.settled(deployer.create(config))
    assert (state["EndpointStatus"], state["FailureReason"]) == ("Failed", NO_PING)


def test_an_unknown_image_fails_the_endpoint(deployer: Deployer) -> None:
    image = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/other:1"
    state = deployer.settled(deployer.create(deployer.config(deployer.model(image=image))))
    assert state["EndpointStatus"] == "Failed"
    assert state["FailureReason"].startswith(
        f'The image "{image}" for production variant main does not exist.'
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no archive", "is a valid tar.gz archive"),
        (archive({"../outside": b"x"}), "outside the destination"),
    ],
)
def test_an_archive_that_cannot_be_unpacked_fails_the_endpoint(
    deployer: Deployer, client: Client, content: bytes, reason: str
) -> None:
    client("s3").put_object(Bucket="models", Key="bad.tar.gz", Body=content)
    state = deployer.settled(deployer.create(deployer.config(deployer.model(key="bad.tar.gz"))))
    assert state["EndpointStatus"] == "Failed"
    assert "Failed to extract model data archive" in state["FailureReason"]
    assert reason in state["FailureReason"]


def test_an_archive_that_is_gone_fails_the_endpoint(deployer: Deployer, client: Client) -> None:
    client("s3").copy_object(Bucket="models", Key="gone.tar.gz", CopySource="models/model.tar.gz")
    config = deployer.config(deployer.model(key="gone.tar.gz"))
    client("s3").delete_object(Bucket="models", Key="gone.tar.gz")
    state = deployer.settled(deployer.create(config))
    assert state["FailureReason"].startswith('Failed to download model data for container "primary" from URL')


def test_an_update_replaces_every_instance_and_drops_no_request(
    deployer: Deployer, invoke: Callable[..., dict[str, Any]]
) -> None:
    name = deployer.up(2, GREETING="old")
    config = deployer.config(deployer.model(GREETING="new"), 1)
    greetings: list[str] = []
    enough = threading.Event()

    def ask() -> None:
        while not enough.is_set():
            greetings.append(invoke(name)["greeting"])

    asker = threading.Thread(target=ask)
    asker.start()
    deployer.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
    state = deployer.describe(name)
    assert state["EndpointStatus"] == "Updating"
    assert state["EndpointConfigName"] != config
    assert state["PendingDeploymentSummary"]["EndpointConfigName"] == config
    state = deployer.settled(name)
    enough.set()
    asker.join()
    assert (state["EndpointConfigName"], state["EndpointStatus"]) == (config, "InService")
    assert state["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert "PendingDeploymentSummary" not in state
    assert greetings == sorted(greetings, reverse=True)  # old ones, then new ones
    assert invoke(name)["greeting"] == "new"


def test_an_update_to_a_broken_model_rolls_back(
    deployer: Deployer, invoke: Callable[..., dict[str, Any]]
) -> None:
    name = deployer.up(GREETING="old")
    before = deployer.describe(name)["EndpointConfigName"]
    config = deployer.config(deployer.model(DIE="1"))
    deployer.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
    state = deployer.settled(name)
    assert (state["EndpointStatus"], state["EndpointConfigName"]) == ("InService", before)
    assert state["FailureReason"] == NO_PING
    assert invoke(name)["greeting"] == "old"


def test_an_alarm_that_goes_off_while_the_new_fleet_bakes_rolls_back(
    deployer: Deployer, client: Client
) -> None:
    name = deployer.up()
    before = deployer.describe(name)["EndpointConfigName"]
    client("cloudwatch").put_metric_alarm(
        AlarmName="errors",
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        ComparisonOperator="GreaterThanThreshold",
        Threshold=0,
        EvaluationPeriods=1,
        Period=60,
        Statistic="Sum",
    )
    routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 60}
    rollout = {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
    }
    config = deployer.config(deployer.model(GREETING="new"))
    deployer.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, DeploymentConfig=rollout)
    client("cloudwatch").set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="test")
    state = deployer.settled(name)
    assert (state["EndpointStatus"], state["EndpointConfigName"]) == ("InService", before)
    assert "errors" in state["FailureReason"]
    client("cloudwatch").delete_alarms(AlarmNames=["errors"])


def test_an_update_keeps_the_instance_count_when_told_to(deployer: Deployer) -> None:
    name = deployer.up(2)
    config = deployer.config(deployer.model(GREETING="new"), 1)
    deployer.sagemaker.update_endpoint(
        EndpointName=name, EndpointConfigName=config, RetainAllVariantProperties=True
    )
    state = deployer.settled(name)
    assert state["EndpointConfigName"] == config
    assert state["ProductionVariants"][0]["CurrentInstanceCount"] == 2


def test_the_number_of_instances_changes_without_a_new_fleet(
    deployer: Deployer, invoke: Callable[..., dict[str, Any]]
) -> None:
    name = deployer.up(1)
    first = invoke(name)["pid"]
    for count in (3, 1):
        deployer.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name,
            DesiredWeightsAndCapacities=[{"VariantName": "main", "DesiredInstanceCount": count}],
        )
        state = deployer.settled(name)
        assert state["ProductionVariants"][0]["CurrentInstanceCount"] == count
    assert invoke(name)["pid"] == first


def test_requests_go_to_the_least_busy_instance(
    deployer: Deployer, invoke: Callable[..., dict[str, Any]]
) -> None:
    name = deployer.up(2)
    slow: list[int] = []
    thread = threading.Thread(target=lambda: slow.append(invoke(name, b"sleep 1")["pid"]))
    thread.start()
    quick: set[int] = set()
    while thread.is_alive():
        quick.add(invoke(name)["pid"])
    assert len(quick - set(slow)) == 1


def until_gone(pid: int) -> None:
    """All of its threads have ended, and the cloud has taken note."""
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() if Path("/proc/self").exists() else start_mark(pid) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_an_instance_that_dies_is_replaced_and_the_other_takes_its_requests(
    deployer: Deployer, invoke: Callable[..., dict[str, Any]]
) -> None:
    name = deployer.up(2)
    victim = invoke(name)["pid"]
    os.kill(victim, signal.SIGKILL)
    until_gone(victim)  # a request that reaches it in its last moment is a ModelError
    seen = {invoke(name)["pid"] for _ in range(20)}
    assert victim not in seen
    state = deployer.until(name, lambda s: s["ProductionVariants"][0]["CurrentInstanceCount"] == 2)
    assert state["EndpointStatus"] == "InService"


def test_a_request_that_kills_its_container_is_not_tried_on_another(
    deployer: Deployer, client: Client
) -> None:
    name = deployer.up(2)
    with pytest.raises(ClientError) as caught:
        client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"die")
    assert caught.value.response["Error"]["Code"] == "ModelError"
    assert caught.value.response["OriginalStatusCode"] == 0
    deployer.until(name, lambda s: s["ProductionVariants"][0]["CurrentInstanceCount"] == 2)


def test_an_error_of_the_container_is_a_model_error(deployer: Deployer, client: Client) -> None:
    name = deployer.up()
    with pytest.raises(ClientError) as caught:
        client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"status 415")
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["Error"]["Code"] == "ModelError"
    assert answer["Error"]["Message"].startswith(
        'Received client error (415) from primary with message "so be it". See https://us-east-1.console.aws'
    )
    assert answer["OriginalStatusCode"] == 415
    assert answer["OriginalMessage"] == "so be it"
    group = f"/aws/sagemaker/Endpoints/{name}"
    assert answer["LogStreamArn"] == f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{group}"


def test_an_endpoint_that_is_not_there_cannot_be_invoked(client: Client) -> None:
    with pytest.raises(ClientError) as caught:
        client("sagemaker-runtime").invoke_endpoint(EndpointName="nowhere", Body=b"x")
    assert caught.value.response["Error"] == {
        "Code": "ValidationError",
        "Message": f"Endpoint nowhere of account {ACCOUNT} not found.",
    }
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_body_over_six_megabytes_is_refused(client: Client) -> None:
    with pytest.raises(ClientError, match=r"length less than or equal to 6291456") as caught:
        client("sagemaker-runtime").invoke_endpoint(EndpointName="any", Body=b"x" * 6_291_457)
    assert caught.value.response["Error"]["Code"] == "ValidationError"


def test_invocations_are_counted_in_cloudwatch(
    deployer: Deployer, client: Client, invoke: Callable[..., dict[str, Any]]
) -> None:
    name = deployer.up(2)
    for _ in range(4):
        invoke(name)
    with pytest.raises(ClientError):
        client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"status 400")

    def total(metric: str) -> float:
        now = datetime.now(UTC)
        points = client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "main"}],
            StartTime=now - timedelta(minutes=5),
            EndTime=now + timedelta(minutes=1),
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
        return float(sum(point["Sum"] for point in points))

    assert total("Invocations") == 5
    assert total("InvocationsPerInstance") == 2.5
    assert total("Invocation4XXErrors") == 1
    assert total("Invocation5XXErrors") == 0
    assert total("ModelLatency") > 0


def refused(call: Callable[..., Any], code: str, message: str, **request: Any) -> None:
    with pytest.raises(ClientError) as caught:
        call(**request)
    assert caught.value.response["Error"]["Code"] == code
    assert message in caught.value.response["Error"]["Message"]


def test_what_aws_refuses_is_refused_in_its_words(deployer: Deployer) -> None:
    sagemaker = deployer.sagemaker
    name = deployer.up()
    state = deployer.describe(name)
    config = state["EndpointConfigName"]
    model = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0][
        "ModelName"
    ]
    refused(
        sagemaker.create_model,
        "ValidationException",
        f'Cannot create already existing model "arn:aws:sagemaker:us-east-1:{ACCOUNT}:model/{model}".',
        ModelName=model,
        ExecutionRoleArn=ROLE,
    )
    refused(
        sagemaker.create_model,
        "ValidationException",
        "Could not find model data at s3://models/none.tar.gz.",
        ModelName="new",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": "s3://models/none.tar.gz"},
    )
    refused(
        sagemaker.create_endpoint,
        "ValidationException",
        f'Cannot create already existing endpoint "{ENDPOINTS}/{name}".',
        EndpointName=name,
        EndpointConfigName=config,
    )
    refused(
        sagemaker.update_endpoint,
        "ValidationException",
        "Could not find endpoint configuration",
        EndpointName=name,
        EndpointConfigName="none",
    )
    refused(
        sagemaker.describe_endpoint,
        "ValidationException",
        f'Could not find endpoint "{ENDPOINTS}/none".',
        EndpointName="none",
    )


def test_an_endpoint_in_progress_is_neither_updated_nor_deleted(deployer: Deployer) -> None:
    config = deployer.config(deployer.model())
    name = deployer.create(config)
    message = f'Cannot update in-progress endpoint "{ENDPOINTS}/{name}".'
    request = {"EndpointName": name, "EndpointConfigName": config}
    refused(deployer.sagemaker.update_endpoint, "ValidationException", message, **request)
    refused(deployer.sagemaker.delete_endpoint, "ValidationException", message, EndpointName=name)


def test_a_failed_endpoint_can_only_be_deleted(deployer: Deployer) -> None:
    config = deployer.config(deployer.model(DIE="1"))
    name = deployer.create(config)
    deployer.settled(name)
    refused(
        deployer.sagemaker.update_endpoint,
        "ValidationException",
        f'Cannot update failed endpoint "{ENDPOINTS}/{name}".',
        EndpointName=name,
        EndpointConfigName=config,
    )


def test_deleting_an_endpoint_ends_its_processes(
    deployer: Deployer, invoke: Callable[..., dict[str, Any]], cloud: CloudInfo
) -> None:
    name = deployer.up()
    pid = invoke(name)["pid"]
    deployer.delete(name)
    assert start_mark(pid) is None
    assert not (cloud.log_file.parent / "endpoints" / name).exists() or not any(
        (cloud.log_file.parent / "endpoints" / name).iterdir()
    )
    refused(invoke, "ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.", endpoint=name)


def test_a_scaled_variant_keeps_its_instance_type(deployer: Deployer, client: Client) -> None:
    name = deployer.up()
    client("application-autoscaling").register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=f"endpoint/{name}/variant/main",
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        MinCapacity=1,
        MaxCapacity=2,
    )
    config = deployer.config(deployer.model(), InstanceType="ml.m5.xlarge")
    refused(
        deployer.sagemaker.update_endpoint,
        "ValidationException",
        'The variant(s) "main" must be deregistered as scalable targets',
        EndpointName=name,
        EndpointConfigName=config,
    )
    deployer.delete(name)
    targets = client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")
    assert targets["ScalableTargets"] == []


def test_a_model_answers_what_it_was_created_with(deployer: Deployer) -> None:
    name = f"model-{next(numbers)}"
    container = {"Image": IMAGE, "ModelDataUrl": "s3://models/model.tar.gz", "Environment": {"A": "b"}}
    deployer.sagemaker.create_model(
        ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container, EnableNetworkIsolation=True
    )
    answer = deployer.sagemaker.describe_model(ModelName=name)
    assert answer["PrimaryContainer"] == container
    assert answer["EnableNetworkIsolation"] is True
    assert "VpcConfig" not in answer
    assert "Containers" not in answer


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("AsyncInferenceConfig", {"OutputConfig": {"S3OutputPath": "s3://models/out"}}),
    ],
)
def test_a_configuration_that_would_not_be_carried_out_is_refused(
    deployer: Deployer, field: str, value: dict[str, Any]
) -> None:
    variant = {
        "VariantName": "main",
        "ModelName": deployer.model(),
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    refused(
        deployer.sagemaker.create_endpoint_config,
        "NotImplemented",
        f"CreateEndpointConfig with {field}",
        EndpointConfigName="refused",
        ProductionVariants=[variant],
        **{field: value},
    )


def test_jobs_are_refused_rather_than_pretended(client: Client) -> None:
    refused(
        client("sagemaker").create_processing_job,
        "NotImplemented",
        "The embedded cloud does not implement sagemaker: CreateProcessingJob.",
        ProcessingJobName="job",
        ProcessingResources={
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        },
        AppSpecification={"ImageUri": IMAGE},
        RoleArn=ROLE,
    )


def test_no_instance_outlives_a_killed_cloud(
    images: Path, tmp_path: Path, connect: Callable[[CloudInfo], Client]
) -> None:
    info = control.start(tmp_path, images=images, lifetime=300)
    try:
        client = connect(info)
        put_model(client)
        deployer = Deployer(client("sagemaker"))
        name = deployer.up()
        answer = client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"x")
        pid = json.loads(answer["Body"].read())["pid"]
        os.kill(info.pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while start_mark(pid) is not None:
            assert time.monotonic() < deadline, f"instance {pid} is still there"
            time.sleep(0.01)
    finally:
        control.stop(tmp_path)


def test_a_notebook_s_settings_and_tags_are_kept(client: Client) -> None:
    sagemaker = client("sagemaker")
    tags = [{"Key": "stage", "Value": "test"}]
    arn = sagemaker.create_notebook_instance_lifecycle_config(
        NotebookInstanceLifecycleConfigName="stop", OnStart=[{"Content": "ZWNobw=="}], Tags=tags
    )["NotebookInstanceLifecycleConfigArn"]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags
    sagemaker.create_notebook_instance(
        NotebookInstanceName="book",
        InstanceType="ml.t3.medium",
        RoleArn=ROLE,
        PlatformIdentifier="notebook-al2023-v1",
        InstanceMetadataServiceConfiguration={"MinimumInstanceMetadataServiceVersion": "2"},
        Tags=tags,
    )
    answer = sagemaker.describe_notebook_instance(NotebookInstanceName="book")
    assert answer["PlatformIdentifier"] == "notebook-al2023-v1"
    assert answer["InstanceMetadataServiceConfiguration"] == {"MinimumInstanceMetadataServiceVersion": "2"}
    arn = answer["NotebookInstanceArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "new"}])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "stage", "Value": "new"}]
