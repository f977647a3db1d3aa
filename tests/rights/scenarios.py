"""The smallest thing that needs a right, done by whom it is for. Each returns "" or what went wrong."""

from __future__ import annotations

import base64
import io
import json
import secrets
import time
import uuid
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from tests.clients import clients
from tests.ml.serving.samples import encode, photo
from tests.rights.mutation import of_role
from tests.rights.world import ACCOUNT, FOLDER, PHOTOS, PREFIX, QUEUE, World

Scenario = Callable[[World], str]

_SECONDS = 60.0  # that anything may take on a loaded machine
_MISSING = 3.0  # s after which what should be there is not coming


def _token() -> str:
    return uuid.uuid4().hex[:8]


def until(found: Callable[[], Any], seconds: float = _SECONDS) -> Any:
    """What is found in time, or the last that was not enough."""
    deadline = time.monotonic() + seconds
    while not (answer := found()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


def refused(call: Callable[[], object]) -> str:
    try:
        call()
    except ClientError as error:
        return str(error)
    return ""


# The function


def ask(world: World) -> str:
    return _invoked(world)[0]


def _invoked(world: World) -> tuple[str, str]:
    """What went wrong, and the request's id."""
    event = {"image": base64.b64encode(encode(photo())).decode()}
    answer = world.client("lambda").invoke(
        FunctionName=f"{PREFIX}-classify", Qualifier="live", Payload=json.dumps(event).encode()
    )
    text = answer["Payload"].read().decode()
    return text if answer.get("FunctionError") else "", answer["ResponseMetadata"]["RequestId"]


def log_of_function(world: World) -> str:
    request = _invoked(world)[1]
    group = f"/aws/lambda/{PREFIX}-classify"

    def logged() -> bool:
        events = world.client("logs").filter_log_events(logGroupName=group, limit=10_000)["events"]
        return any(request in event["message"] for event in events)

    return "" if until(logged, _MISSING) else "the request is not in the log"


def trace(world: World) -> str:
    began = time.time()
    time.sleep(1.0 - began % 1.0)  # the first request of a second is traced, whichever others are
    request = _invoked(world)[1]

    def traced() -> bool:
        xray = world.client("xray")
        found = xray.get_trace_summaries(StartTime=began - 5, EndTime=time.time() + 5)["TraceSummaries"]
        ids = [one["Id"] for one in found]
        traces = xray.batch_get_traces(TraceIds=ids)["Traces"] if ids else []
        return any(request in segment["Document"] for one in traces for segment in one["Segments"])

    return "" if until(traced, _MISSING) else "there is no trace of the request"


def failed_call(world: World) -> str:
    """The endpoint is closed to the function, which then raises: its own answers to bad events are no failures."""
    number = secrets.randbelow(1000) + 1
    event = {"image": base64.b64encode(encode(photo())).decode(), "top_k": number}
    sqs = world.client("sqs")
    queue = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]

    def told() -> bool:
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        return any(json.loads(one["Body"])["requestPayload"]["top_k"] == number for one in messages)

    with of_role("lambda").without(world, "AskTheEndpoint"):
        world.client("lambda").invoke(
            FunctionName=f"{PREFIX}-classify", Qualifier="live", InvocationType="Event",
            Payload=json.dumps(event).encode(),
        )  # fmt: skip
        return "" if until(told, 2 * _MISSING) else "nobody was told of the failed call"


def another_function(world: World) -> str:
    """In the same subnets, with the same role."""
    client = world.client("lambda")
    like = client.get_function(FunctionName=f"{PREFIX}-classify")["Configuration"]
    vpc = {name: like["VpcConfig"][name] for name in ("SubnetIds", "SecurityGroupIds")}
    name = f"{PREFIX}-rights-{_token()}"
    code = io.BytesIO()
    import zipfile

    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("a.py", "def handler(event, context): pass\n")
    said = refused(
        lambda: client.create_function(
            FunctionName=name, Role=like["Role"], Runtime="python3.12", Handler="a.handler", VpcConfig=vpc,
            Code={"ZipFile": code.getvalue()},
        )
    )  # fmt: skip
    if not said:
        client.delete_function(FunctionName=name)
    return said


# The endpoint


def another_instance(world: World) -> str:
    """One more behind the endpoint; it goes again."""
    said = _instances(world, 2)
    _instances(world, 1)
    return said


def _instances(world: World, count: int) -> str:
    sagemaker = world.client("sagemaker")
    wanted = [{"VariantName": "primary", "DesiredInstanceCount": count}]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName=PREFIX, DesiredWeightsAndCapacities=wanted)
    until(lambda: sagemaker.describe_endpoint(EndpointName=PREFIX)["EndpointStatus"] == "InService")
    state = sagemaker.describe_endpoint(EndpointName=PREFIX)
    up = state["ProductionVariants"][0]["CurrentInstanceCount"] == count
    return "" if up else str(state.get("FailureReason"))


def log_of_endpoint(world: World) -> str:
    group = f"/aws/sagemaker/Endpoints/{PREFIX}"
    before = _streams(world, group)
    _instances(world, 2)
    new = _streams(world, group) - before
    _instances(world, 1)
    return "" if new else "the instance has no log"


def _streams(world: World, group: str) -> set[str]:
    logs = world.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        return set()
    streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
    return {stream["logStreamName"] for stream in streams if stream.get("lastIngestionTime")}


def usage(world: World) -> str:
    """What instances say of their memory, every two seconds in this cloud."""
    began = time.time()

    def measured() -> bool:
        return any(
            entry["action"] == "cloudwatch:PutMetricData"
            and entry["at"] >= began
            and "endpoint" in entry["role"]
            for entry in world.decisions()
        )

    until(measured, 2 * _MISSING)
    allowed = [
        entry["allowed"] for entry in world.decisions()
        if entry["action"] == "cloudwatch:PutMetricData" and entry["at"] >= began and "endpoint" in entry["role"]
    ]  # fmt: skip
    return "" if allowed and all(allowed) else "there are no metrics"


def capture(world: World) -> str:
    before = _captured(world)
    ask(world)
    return "" if until(lambda: _captured(world) > before, _MISSING) else "the request is not recorded"


def _captured(world: World) -> int:
    bucket = world.outputs["artifact_bucket"]
    return int(world.client("s3").list_objects_v2(Bucket=bucket, Prefix="captures/")["KeyCount"])


def bulk_of_data(world: World) -> str:
    return _transform(world, f"s3://{PHOTOS}/{FOLDER}train/")


def bulk_of_scratch(world: World) -> str:
    return _transform(world, world.scratch("photos/"))


def log_of_bulk(world: World) -> str:
    before = _streams(world, "/aws/sagemaker/TransformJobs")
    _transform(world, world.scratch("photos/"))
    return "" if _streams(world, "/aws/sagemaker/TransformJobs") - before else "the job has no log"


def first_log_of_bulk(world: World) -> str:
    _forget(world, "/aws/sagemaker/TransformJobs")
    return log_of_bulk(world)


def _forget(world: World, group: str) -> None:
    logs = world.client("logs")
    if logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        logs.delete_log_group(logGroupName=group)


def _transform(world: World, source: str) -> str:
    name = f"{PREFIX}-bulk-{_token()}"
    sagemaker = world.client("sagemaker")
    sagemaker.create_transform_job(
        TransformJobName=name, ModelName=world.outputs["model_name"],
        TransformInput={
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source}},
            "ContentType": "application/x-image",
        },
        TransformOutput={"S3OutputPath": world.scratch(f"bulk/{name}")},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )  # fmt: skip

    def over() -> dict[str, Any] | None:
        job = sagemaker.describe_transform_job(TransformJobName=name)
        return job if job["TransformJobStatus"] in ("Completed", "Failed", "Stopped") else None

    job = until(over)
    return "" if job["TransformJobStatus"] == "Completed" else job["FailureReason"]


# Training jobs


def job_on_data(world: World) -> str:
    return train(world, f"s3://{PHOTOS}/{FOLDER}")


def job_on_scratch(world: World) -> str:
    return train(world, world.scratch("photos/"))


def job_with_checkpoints(world: World) -> str:
    return train(world, world.scratch("photos/"), checkpoints=True)


def log_of_job(world: World) -> str:
    before = _streams(world, "/aws/sagemaker/TrainingJobs")
    train(world, world.scratch("photos/"))
    return "" if _streams(world, "/aws/sagemaker/TrainingJobs") - before else "the job has no log"


def first_log_of_job(world: World) -> str:
    _forget(world, "/aws/sagemaker/TrainingJobs")
    return log_of_job(world)


def metric_of_job(world: World) -> str:
    name = _start(world.client, world, world.scratch("photos/"))
    _over(world, name)
    found = world.client("cloudwatch").list_metrics(
        Namespace="/aws/sagemaker/TrainingJobs", Dimensions=[{"Name": "TrainingJobName", "Value": name}]
    )["Metrics"]
    return "" if found else "there are no metrics"


def train(world: World, data: str, *, checkpoints: bool = False) -> str:
    try:
        name = _start(world.client, world, data, checkpoints=checkpoints)
    except ClientError as error:
        return str(error)
    return _over(world, name)


def _start(client: Callable[[str], Any], world: World, data: str, *, checkpoints: bool = False) -> str:
    name = f"{PREFIX}-rights-{_token()}"
    script = (
        "echo loss=1.5; echo weights > /opt/ml/model/weights; echo state > /opt/ml/checkpoints/state || true"
    )
    source = {"S3DataType": "S3Prefix", "S3Uri": data}
    more = {"CheckpointConfig": {"S3Uri": world.scratch(f"checkpoints/{name}/")}} if checkpoints else {}
    client("sagemaker").create_training_job(
        TrainingJobName=name, RoleArn=world.outputs["roles"]["training"]["arn"],
        AlgorithmSpecification={
            "TrainingImage": world.outputs["training_image"], "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sh", "-c", script],
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
        },
        InputDataConfig=[{"ChannelName": "data", "DataSource": {"S3DataSource": source}}],
        OutputDataConfig={"S3OutputPath": world.scratch("jobs/")},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        VpcConfig={
            "Subnets": world.outputs["subnet_ids"], "SecurityGroupIds": [world.outputs["security_group_id"]],
        },
        Tags=[{"Key": "kennel:stage", "Value": PREFIX}], **more,
    )  # fmt: skip
    return name


def _over(world: World, name: str) -> str:
    def over() -> dict[str, Any] | None:
        job = world.client("sagemaker").describe_training_job(TrainingJobName=name)
        return job if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    job = until(over)
    return (
        "" if job["TrainingJobStatus"] == "Completed" else job.get("FailureReason", job["TrainingJobStatus"])
    )


# The training instance

_READ = """
import boto3, sys
s3 = boto3.client("s3")
bucket, prefix = sys.argv[1:]
key = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"][0]["Key"]
s3.get_object(Bucket=bucket, Key=key)["Body"].read()
"""
_GET = """
import boto3, sys
boto3.client("s3").get_object(Bucket=sys.argv[1], Key=sys.argv[2])["Body"].read()
"""
_WRITE = """
import boto3, sys
boto3.client("s3").put_object(Bucket=sys.argv[1], Key=sys.argv[2] + "told.json", Body=b"{}")
"""
# What boto3 does with an upload in parts that breaks off.
_BREAK_OFF = """
import boto3, sys
bucket, key = sys.argv[1], sys.argv[2] + "big"
s3 = boto3.client("s3")
upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"x")
s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
"""


def _on_instance(world: World, program: str, *arguments: str) -> str:
    import shlex

    words = " ".join(map(shlex.quote, arguments))
    return _command(world, f"/opt/kennel/venv/bin/python -c {shlex.quote(program)} {words}")[0]


def _command(world: World, line: str, *, log: bool = False) -> tuple[str, str]:
    """What went wrong, and the command's id."""
    instance = world.outputs["training_instance_id"]
    ssm = world.client("ssm")
    group = f"/aws/ssm/{PREFIX}-training"
    more = (
        {"CloudWatchOutputConfig": {"CloudWatchOutputEnabled": True, "CloudWatchLogGroupName": group}}
        if log
        else {}
    )
    try:
        command = ssm.send_command(
            DocumentName="AWS-RunShellScript", InstanceIds=[instance], Parameters={"commands": [line]}, **more
        )["Command"]["CommandId"]
    except ClientError as error:
        return str(error), ""

    def over() -> dict[str, Any] | None:
        state = ssm.get_command_invocation(CommandId=command, InstanceId=instance)
        return None if state["Status"] in ("Pending", "InProgress") else state

    state = until(over, _SECONDS if "python" in line else 2 * _MISSING)
    if state is None:
        ssm.cancel_command(CommandId=command, InstanceIds=[instance])
        return "the command was never delivered", command
    return "" if state["Status"] == "Success" else state["StandardErrorContent"], command


def instance_reads_data(world: World) -> str:
    return _on_instance(world, _READ, PHOTOS, f"{FOLDER}train/")


def instance_reads_scratch(world: World) -> str:
    return _on_instance(world, _READ, world.outputs["artifact_bucket"], "training/photos/")


def instance_writes(world: World) -> str:
    return _on_instance(world, _WRITE, world.outputs["artifact_bucket"], "training/jobs/")


def instance_breaks_off(world: World) -> str:
    return _on_instance(world, _BREAK_OFF, world.outputs["artifact_bucket"], "training/jobs/")


def instance_reads_wheels(world: World) -> str:
    return _on_instance(world, _READ, world.outputs["artifact_bucket"], "wheelhouse/")


def instance_reads_packages(world: World) -> str:
    return _from_a_bucket_of_aws(
        world, "al2023-repos-us-east-1-de612dc2", "core/mirrors/latest/x86_64/mirror.list"
    )


def instance_reads_layers(world: World) -> str:
    return _from_a_bucket_of_aws(world, "prod-us-east-1-starport-layer-bucket", "123456789012/layer")


def _from_a_bucket_of_aws(world: World, bucket: str, key: str) -> str:
    """What dnf and Docker fetch there, another account's bucket being AWS's. They ask without credentials; here the
    instance's role may read the bucket, since it is by credentials that the cloud knows who is in the VPC."""
    s3, role = world.theirs("s3"), world.outputs["roles"]["training_instance"]["arn"]
    if bucket not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    may = {"Effect": "Allow", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/*"}
    policy = {"Version": "2012-10-17", "Statement": [{**may, "Principal": {"AWS": role}}]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    with of_role("training_instance").with_more(world, may):
        said = _on_instance(world, _GET, bucket, key)
        written = _on_instance(world, _WRITE, bucket, "x/")
    assert "no VPC endpoint policy allows the s3:PutObject action" in written, written
    return said


def command(world: World) -> str:
    return _command(world, "true")[0]


def log_of_command(world: World) -> str:
    said, number = _command(world, "echo heard", log=True)
    group = f"/aws/ssm/{PREFIX}-training"
    return said or ("" if any(number in one for one in _streams(world, group)) else "the command has no log")


def session(world: World) -> str:
    """A person's, which the agent opens a data channel for. How it goes on is not this cloud's."""
    try:
        world.client("ssm").start_session(Target=world.outputs["training_instance_id"])
    except ClientError as error:
        return "" if error.response["Error"]["Code"] == "NotImplemented" else str(error)
    return "a session without a stream"


# The notebook, in which a person works


def _notebook(world: World) -> Callable[[str], Any]:
    if world.notebook is None:
        world.notebook = clients(world.cloud, **world.assume("notebook"))
    return world.notebook


def notebook_reads_data(world: World) -> str:
    return _reads(_notebook(world)("s3"), PHOTOS, f"{FOLDER}train/")


def notebook_reads_scratch(world: World) -> str:
    return _reads(_notebook(world)("s3"), world.outputs["artifact_bucket"], "training/photos/")


def _reads(s3: Any, bucket: str, prefix: str) -> str:
    def read() -> None:
        key = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"][0]["Key"]
        s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    return refused(read)


def notebook_writes(world: World) -> str:
    bucket = world.outputs["artifact_bucket"]
    return refused(
        lambda: _notebook(world)("s3").put_object(Bucket=bucket, Key="training/notebook", Body=b"x")
    )


def notebook_breaks_off(world: World) -> str:
    s3, at = _notebook(world)("s3"), {"Bucket": world.outputs["artifact_bucket"], "Key": "training/big"}

    def broken_off() -> None:
        upload = s3.create_multipart_upload(**at)["UploadId"]
        s3.abort_multipart_upload(**at, UploadId=upload)

    return refused(broken_off)


def notebook_starts(world: World) -> str:
    sagemaker = world.client("sagemaker")
    state = sagemaker.describe_notebook_instance(NotebookInstanceName=PREFIX)
    if state["NotebookInstanceStatus"] == "InService":
        sagemaker.stop_notebook_instance(NotebookInstanceName=PREFIX)
    sagemaker.start_notebook_instance(NotebookInstanceName=PREFIX)
    return str(sagemaker.describe_notebook_instance(NotebookInstanceName=PREFIX).get("FailureReason", ""))


def log_of_notebook(world: World) -> str:
    _forget(world, "/aws/sagemaker/NotebookInstances")
    notebook_starts(world)
    return "" if _streams(world, "/aws/sagemaker/NotebookInstances") else "the notebook has no log"


def notebook_stops(world: World) -> str:
    sagemaker = _notebook(world)("sagemaker")

    def stopped() -> None:
        sagemaker.describe_notebook_instance(NotebookInstanceName=PREFIX)
        sagemaker.stop_notebook_instance(NotebookInstanceName=PREFIX)

    said = refused(stopped)
    notebook_starts(world)
    return said


def notebook_asks(world: World) -> str:
    runtime = _notebook(world)("sagemaker-runtime")
    return refused(
        lambda: runtime.invoke_endpoint(EndpointName=PREFIX, ContentType="image/png", Body=encode(photo()))
    )


def notebook_trains(world: World) -> str:
    sagemaker = _notebook(world)("sagemaker")

    def trained() -> None:
        name = _start(_notebook(world), world, world.scratch("photos/"))
        sagemaker.describe_training_job(TrainingJobName=name)
        with_suppressed = refused(lambda: sagemaker.stop_training_job(TrainingJobName=name))
        assert "AccessDenied" not in with_suppressed, with_suppressed  # it may be over

    return refused(trained)


def notebook_tunes(world: World) -> str:
    sagemaker = _notebook(world)("sagemaker")
    name = f"{PREFIX}-t{_token()}"

    def tuned() -> None:
        sagemaker.create_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name,
            **_tuning(world),
            Tags=[{"Key": "kennel:stage", "Value": PREFIX}],
        )
        at = {"HyperParameterTuningJobName": name}
        sagemaker.describe_hyper_parameter_tuning_job(**at)
        sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(**at)
        sagemaker.stop_hyper_parameter_tuning_job(**at)

    def over() -> bool:
        """What its trial still does in the other role's name is not to meet what the next scenario takes away."""
        found = world.client("sagemaker").list_hyper_parameter_tuning_jobs(NameContains=name)
        statuses = [one["HyperParameterTuningJobStatus"] for one in found["HyperParameterTuningJobSummaries"]]
        return not {"InProgress", "Stopping"} & {*statuses}

    said = refused(tuned)
    until(over)
    return said


def _tuning(world: World) -> dict[str, Any]:
    learning_rate = {"Name": "learning_rate", "MinValue": "0.1", "MaxValue": "1"}
    source = {"S3DataType": "S3Prefix", "S3Uri": world.scratch("photos/")}
    return {
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
            "ParameterRanges": {"ContinuousParameterRanges": [learning_rate]},
        },
        "TrainingJobDefinition": {
            "RoleArn": world.outputs["roles"]["training"]["arn"],
            "AlgorithmSpecification": {
                "TrainingImage": world.outputs["training_image"],
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
            },
            "InputDataConfig": [{"ChannelName": "data", "DataSource": {"S3DataSource": source}}],
            "OutputDataConfig": {"S3OutputPath": world.scratch("jobs/")},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        },
    }


# Flow logs


def flow_log(world: World) -> str:
    """Another, of one subnet, with the same role; AWS says of itself whether its records arrive."""
    ec2 = world.client("ec2")
    subnet = world.outputs["subnet_ids"][0]
    group = f"/aws/vpc/{PREFIX}"
    before = _flow_records(world, group)
    made = ec2.create_flow_logs(
        ResourceIds=[subnet], ResourceType="Subnet", TrafficType="ALL", LogGroupName=group,
        DeliverLogsPermissionArn=f"arn:aws:iam::{ACCOUNT}:role/{PREFIX}-flow-logs",
    )["FlowLogIds"]  # fmt: skip

    def status() -> str:
        found = ec2.describe_flow_logs(FlowLogIds=made)["FlowLogs"][0]
        failed = found["DeliverLogsStatus"] == "FAILED"
        return (
            found["DeliverLogsErrorMessage"]
            if failed
            else "ok"
            if _flow_records(world, group) > before
            else ""
        )

    said = str(until(status, 25))
    ec2.delete_flow_logs(FlowLogIds=made)
    return "" if said == "ok" else said or "no records"


def _flow_records(world: World, group: str) -> int:
    return len(world.client("logs").filter_log_events(logGroupName=group, limit=10_000)["events"])
