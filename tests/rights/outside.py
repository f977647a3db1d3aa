"""Calls beside those that are granted, and what policies of resources keep out: all must be refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from tests.clients import clients
from tests.rights.mutation import GATEWAY, of_role
from tests.rights.scenarios import refused, train
from tests.rights.world import ACCOUNT, FOLDER, OTHER, PHOTOS, PREFIX, World

Client = Callable[[str], Any]

FOREIGN = "foreign-photos"
# As the network module has it where there is a way out: `ReadWhatTheWayOutLeadsTo`.
OUT = {
    "Sid": "ReadWhatTheWayOutLeadsTo",
    "Effect": "Allow",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": "*",
}
# Where a condition stands in Terraform's files, and what tries to get round it: a check here, or a test.
CONDITIONS = {
    ("iam/bulk.tf", "s3:prefix"): "list the whole bucket",
    ("iam/endpoint.tf", "cloudwatch:namespace"): "publish a metric of its own",
    ("iam/lambda.tf", "ec2:Subnet"): "delete an interface of another network",
    ("iam/main.tf", "aws:SourceAccount"): "test_a_service_gets_credentials_of_a_role_that_trusts_it_for_this",
    ("iam/main.tf", "aws:SourceArn"): "take on training's role",
    ("iam/notebook.tf", "iam:PassedToService"): "hand a role to another service",
    ("iam/shared.tf", "ec2:Subnet"): "delete an interface of another network",
    ("iam/shared.tf", "s3:prefix"): "list the whole bucket",
    ("iam/training.tf", "cloudwatch:namespace"): "publish a metric of its own",
    ("iam/training.tf", "s3:prefix"): "list the whole bucket",
    (
        "network/flow_logs.tf",
        "aws:SourceAccount",
    ): "test_a_service_gets_credentials_of_a_role_that_trusts_it_for_this",
    (
        "observability/notifications.tf",
        "aws:SourceAccount",
    ): "",  # no alarm of this cloud publishes to a topic
    ("private_bucket/main.tf", "aws:SecureTransport"): "list our artifacts without TLS",
    ("private_bucket/main.tf", "s3:TlsVersion"): "test_a_statement_applies_where_all_its_parts_do",
    ("storage/data_policies.tf", "kms:ViaService"): "use the photos' key but through S3",
    ("storage/data_policies.tf", "s3:prefix"): "list photos beside the folder",
}
_DENIED = ("AccessDenied", "UnauthorizedOperation", "403", "UnreachableEndpoint")


def checks(world: World) -> Iterator[dict[str, Any]]:
    """Who tried what, and the answer; `ok` where it is a refusal."""
    for actor in ("endpoint", "training", "training_instance", "lambda", "notebook"):
        client = clients(world.cloud, **world.assume(actor))
        for what, call in {**_anybody(client, world), **_NEIGHBOURS[actor](client, world)}.items():
            said = _refusal(call)
            yield {"who": actor, "what": what, "said": said, "ok": said.startswith(_DENIED)}
    yield from _of_resources(world)


def _refusal(call: Callable[[], object]) -> str:
    try:
        call()
    except ClientError as error:
        return f"{error.response['Error']['Code']}: {error.response['Error'].get('Message', '')}"
    return "it was done"


def _anybody(client: Client, world: World) -> dict[str, Callable[[], object]]:
    bucket, s3, logs = world.outputs["artifact_bucket"], client("s3"), client("logs")
    foreign = f"arn:aws:iam::{OTHER}:role/any"
    return {
        "list roles": lambda: client("iam").list_roles(),
        "widen its own rights": lambda: client("iam").put_role_policy(
            RoleName=f"{PREFIX}-training", PolicyName="more", PolicyDocument="{}"
        ),
        "take on a role of another account": lambda: client("sts").assume_role(
            RoleArn=foreign, RoleSessionName="session"
        ),
        "take on another actor's role": lambda: client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{PREFIX}-notebook", RoleSessionName="session"
        ),
        "replace a model": lambda: s3.put_object(Bucket=bucket, Key="models/x/model.tar.gz", Body=b""),
        "delete an artifact": lambda: s3.delete_object(Bucket=bucket, Key="training/photos/1.png"),
        "list the whole bucket": lambda: s3.list_objects_v2(Bucket=bucket),
        "read Terraform's state": lambda: s3.get_object(
            Bucket=f"{PREFIX}-terraform-state-{ACCOUNT}", Key="kennel.tfstate"
        ),
        "read photos beside the folder": lambda: s3.get_object(Bucket=PHOTOS, Key="private/1.png"),
        "list photos beside the folder": lambda: s3.list_objects_v2(Bucket=PHOTOS, Prefix="private/"),
        "write to the photos": lambda: s3.put_object(Bucket=PHOTOS, Key=f"{FOLDER}x", Body=b""),
        "read logs": lambda: logs.filter_log_events(logGroupName=f"/aws/lambda/{PREFIX}-classify"),
        "delete a log group": lambda: logs.delete_log_group(logGroupName=f"/aws/lambda/{PREFIX}-classify"),
        "make a log group of another name": lambda: logs.create_log_group(logGroupName="/other"),
        "publish a metric of its own": lambda: client("cloudwatch").put_metric_data(
            Namespace="AWS/SageMaker", MetricData=[{"MetricName": "x", "Value": 1}]
        ),
        "ask another endpoint": lambda: client("sagemaker-runtime").invoke_endpoint(
            EndpointName="other", Body=b"x"
        ),
        "delete the endpoint": lambda: client("sagemaker").delete_endpoint(EndpointName=PREFIX),
        "call the function": lambda: client("lambda").invoke(FunctionName=f"{PREFIX}-classify"),
        "end the instance": lambda: client("ec2").terminate_instances(
            InstanceIds=[world.outputs["training_instance_id"]]
        ),
        "run a command": lambda: client("ssm").send_command(
            DocumentName="AWS-RunShellScript",
            InstanceIds=[world.outputs["training_instance_id"]],
            Parameters={"commands": ["true"]},
        ),
        "make a key": lambda: client("kms").create_key(),
    }


def _attachment(client: Client, world: World) -> dict[str, Callable[[], object]]:
    default = world.client("ec2").describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])
    subnet = default["Subnets"][0]["SubnetId"]
    theirs = world.client("ec2").create_network_interface(SubnetId=subnet)["NetworkInterface"]
    interface = theirs["NetworkInterfaceId"]
    return {
        "attach to another network": lambda: client("ec2").create_network_interface(SubnetId=subnet),
        "delete an interface of another network": lambda: client("ec2").delete_network_interface(
            NetworkInterfaceId=interface
        ),
    }


def _keys(client: Client, world: World) -> dict[str, Callable[[], object]]:
    theirs = f"arn:aws:kms:us-east-1:{OTHER}:key/{world.key_id}"
    return {
        "use the photos' key but through S3": lambda: client("kms").decrypt(
            CiphertextBlob=b"x", KeyId=theirs
        ),
    }


def _endpoint(client: Client, world: World) -> dict[str, Callable[[], object]]:
    bucket = world.outputs["artifact_bucket"]
    return {
        **_attachment(client, world),
        **_keys(client, world),
        "write beside the answers": lambda: client("s3").put_object(
            Bucket=bucket, Key="training/jobs/x", Body=b""
        ),
        "read the wheelhouse": lambda: client("s3").get_object(
            Bucket=bucket, Key="wheelhouse/kennel-1.0.whl"
        ),
        "pull another image": lambda: client("ecr").batch_get_image(
            repositoryName="other", imageIds=[{"imageTag": "1"}]
        ),
        "log as another job": lambda: client("logs").create_log_stream(
            logGroupName="/aws/sagemaker/TransformJobs", logStreamName="somebody-else/1"
        ),
    }


def _training(client: Client, world: World) -> dict[str, Callable[[], object]]:
    bucket = world.outputs["artifact_bucket"]
    return {
        **_attachment(client, world),
        **_keys(client, world),
        "read a model": lambda: client("s3").get_object(Bucket=bucket, Key="models/x/model.tar.gz"),
        "read the wheelhouse": lambda: client("s3").get_object(
            Bucket=bucket, Key="wheelhouse/kennel-1.0.whl"
        ),
        "start a job": lambda: client("sagemaker").stop_training_job(TrainingJobName=f"{PREFIX}-1"),
        "ask the endpoint": lambda: client("sagemaker-runtime").invoke_endpoint(
            EndpointName=PREFIX, Body=b"x"
        ),
        "log as another job": lambda: client("logs").create_log_stream(
            logGroupName="/aws/sagemaker/TrainingJobs", logStreamName="somebody-else/1"
        ),
    }


def _instance(client: Client, world: World) -> dict[str, Callable[[], object]]:
    bucket = world.outputs["artifact_bucket"]
    return {
        **_keys(client, world),
        "read a model": lambda: client("s3").get_object(Bucket=bucket, Key="models/x/model.tar.gz"),
        "write to the wheelhouse": lambda: client("s3").put_object(
            Bucket=bucket, Key="wheelhouse/x.whl", Body=b""
        ),
        "read a parameter": lambda: client("ssm").get_parameter(Name="/secret"),
        "ask the endpoint": lambda: client("sagemaker-runtime").invoke_endpoint(
            EndpointName=PREFIX, Body=b"x"
        ),
    }


def _function(client: Client, world: World) -> dict[str, Callable[[], object]]:
    bucket = world.outputs["artifact_bucket"]
    queue = world.client("sqs").create_queue(QueueName="another-queue")["QueueUrl"]
    return {
        **_attachment(client, world),
        "read a photo of the scratch folder": lambda: client("s3").get_object(
            Bucket=bucket, Key="training/photos/1.png"
        ),
        "tell another queue": lambda: client("sqs").send_message(QueueUrl=queue, MessageBody="x"),
    }


def _notebook(client: Client, world: World) -> dict[str, Callable[[], object]]:
    bucket = world.outputs["artifact_bucket"]
    lambdas = client("lambda")
    return {
        **_attachment(client, world),
        **_keys(client, world),
        "read a model": lambda: client("s3").get_object(Bucket=bucket, Key="models/x/model.tar.gz"),
        "stop somebody else's job": lambda: client("sagemaker").stop_training_job(TrainingJobName="other-1"),
        "stop another notebook": lambda: client("sagemaker").stop_notebook_instance(
            NotebookInstanceName="other"
        ),
        "train with a role that is not training's": lambda: client("sagemaker").create_training_job(
            **_job(world, f"{PREFIX}-borrowed", "notebook")
        ),
        "hand a role to another service": lambda: lambdas.create_function(
            FunctionName="x", Role=world.outputs["roles"]["training"]["arn"], Code={"ZipFile": b"x"}
        ),
    }


_NEIGHBOURS: dict[str, Callable[[Client, World], dict[str, Callable[[], object]]]] = {
    "endpoint": _endpoint,
    "training": _training,
    "training_instance": _instance,
    "lambda": _function,
    "notebook": _notebook,
}


def _of_resources(world: World) -> Iterator[dict[str, Any]]:
    """From both accounts, and from the network."""
    bucket = world.outputs["artifact_bucket"]
    said = refused(lambda: world.theirs("s3").list_objects_v2(Bucket=bucket))
    yield {
        "who": "the other account",
        "what": "list our artifacts",
        "said": said,
        "ok": "AccessDenied" in said,
    }
    said = refused(lambda: world.client("s3").list_objects_v2(Bucket=PHOTOS, Prefix=FOLDER))
    yield {
        "who": "our account's root",
        "what": "list their photos",
        "said": said,
        "ok": "AccessDenied" in said,
    }
    insecure = clients(world.cloud, url=world.cloud.insecure_url)("s3")
    said = refused(lambda: insecure.list_objects_v2(Bucket=bucket))
    ok = "explicit deny in a resource-based policy" in said
    yield {"who": "our account's root", "what": "list our artifacts without TLS", "said": said, "ok": ok}
    said = refused(
        lambda: world.client("sagemaker").create_training_job(**_job(world, "other-1", "training"))
    )
    yield {
        "who": "a job of another name",
        "what": "take on training's role",
        "said": said,
        "ok": "Could not assume role" in said,
    }
    said, let_out = _foreign_bucket(world)
    ok = "no VPC endpoint policy allows the s3:" in said and not let_out
    yield {
        "who": "training",
        "what": "read a bucket that is not ours, from the network",
        "said": said,
        "ok": ok,
    }


def _job(world: World, name: str, actor: str) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "RoleArn": world.outputs["roles"][actor]["arn"],
        "AlgorithmSpecification": {
            "TrainingImage": world.outputs["training_image"],
            "TrainingInputMode": "File",
        },
        "OutputDataConfig": {"S3OutputPath": world.scratch("jobs/")},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }


def _foreign_bucket(world: World) -> tuple[str, str]:
    """Role and bucket let the job in; the gateway endpoint does not let it out, but where the network has a way out.

    Even there it lets nothing but objects be read, by what it says for that; a job would have to list them, too.
    """
    s3 = world.theirs("s3")
    s3.create_bucket(Bucket=FOREIGN)
    s3.put_object(Bucket=FOREIGN, Key="train/1.png", Body=b"x")
    resources = [f"arn:aws:s3:::{FOREIGN}", f"arn:aws:s3:::{FOREIGN}/*"]
    allow = {"Effect": "Allow", "Action": "s3:*", "Resource": resources}
    principal = {"Principal": {"AWS": world.outputs["roles"]["training"]["arn"]}}
    document = {"Version": "2012-10-17", "Statement": [{**allow, **principal}]}
    s3.put_bucket_policy(Bucket=FOREIGN, Policy=json.dumps(document))
    with of_role("training").with_more(world, allow):
        said = train(world, f"s3://{FOREIGN}/train/")
        with (
            GATEWAY.with_more(world, OUT),
            GATEWAY.with_more(world, {**OUT, "Sid": "", "Action": "s3:ListBucket"}),
        ):
            return said, train(world, f"s3://{FOREIGN}/train/")
