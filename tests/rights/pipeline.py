"""The role that a pipeline plans as: what a plan asks for, and the same calls again, one by one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from ops import state_bucket
from ops.ci import identity
from ops.ci.run import Run
from ops.deploy import Deployment
from tests.clients import clients
from tests.forge import identity_token
from tests.rights.mutation import Document, Policy
from tests.rights.world import ACCOUNT, PREFIX, World

ROLE = "kennel-ci-local-plan"
_REPOSITORY = "org/photos"
_STATE = f"{PREFIX}-terraform-state-{ACCOUNT}"
_NONE = "00000000000000000"

# What a call takes besides its name. Whether there is such a thing does not matter: rights are asked for first.
_GIVEN: dict[str, dict[str, Any]] = {
    "DescribeVpcAttribute": {"VpcId": f"vpc-{_NONE}", "Attribute": "enableDnsSupport"},
    "GetManagedPrefixListEntries": {"PrefixListId": f"pl-{_NONE}"},
    "DescribeInstanceAttribute": {"InstanceId": f"i-{_NONE}", "Attribute": "userData"},
    "GetParameter": {"Name": "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"},
    "GetRole": {"RoleName": f"{PREFIX}-lambda"},
    "GetRolePolicy": {"RoleName": f"{PREFIX}-lambda", "PolicyName": "lambda"},
    "ListAttachedRolePolicies": {"RoleName": f"{PREFIX}-lambda"},
    "ListRolePolicies": {"RoleName": f"{PREFIX}-lambda"},
    "GetInstanceProfile": {"InstanceProfileName": f"{PREFIX}-training-instance"},
    "ListServiceQuotas": {"ServiceCode": "sagemaker"},
    "DescribeEndpoint": {"EndpointName": PREFIX},
    "DescribeEndpointConfig": {"EndpointConfigName": f"{PREFIX}-1"},
    "DescribeInferenceComponent": {"InferenceComponentName": f"{PREFIX}-1"},
    "DescribeModel": {"ModelName": f"{PREFIX}-1"},
    "DescribeNotebookInstance": {"NotebookInstanceName": PREFIX},
    "DescribeNotebookInstanceLifecycleConfig": {"NotebookInstanceLifecycleConfigName": f"{PREFIX}-1"},
    "DescribeStacks": {"StackName": f"{PREFIX}-1"},
    "GetTemplate": {"StackName": f"{PREFIX}-1"},
    "DescribeAlarms": {"AlarmNames": [f"{PREFIX}-1"]},
    "GetDashboard": {"DashboardName": PREFIX},
    "DescribeRepositories": {"repositoryNames": [f"{PREFIX}-serving"]},
    "GetLifecyclePolicy": {"repositoryName": f"{PREFIX}-serving"},
    "GetTopicAttributes": {"TopicArn": f"arn:aws:sns:us-east-1:{ACCOUNT}:{PREFIX}-alarms"},
    "GetSubscriptionAttributes": {
        "SubscriptionArn": f"arn:aws:sns:us-east-1:{ACCOUNT}:{PREFIX}-alarms:00000000-0000-0000-0000-000000000000"
    },
    "GetAlias": {"Name": "live"},
    "GetProvisionedConcurrencyConfig": {"Qualifier": "live"},
}
_ARN = {
    "sagemaker": {"ResourceArn": f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/{PREFIX}"},
    "application-autoscaling": {
        "ResourceARN": f"arn:aws:application-autoscaling:us-east-1:{ACCOUNT}:scalable-target/1"
    },
    "cloudwatch": {"ResourceARN": f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:{PREFIX}-1"},
    "logs": {"resourceArn": f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/lambda/{PREFIX}-classify"},
    "ecr": {"resourceArn": f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{PREFIX}-serving"},
    "sns": {"ResourceArn": f"arn:aws:sns:us-east-1:{ACCOUNT}:{PREFIX}-alarms"},
}
# Where S3's calls have other names than its actions.
_S3 = {
    "GetAccelerateConfiguration": "GetBucketAccelerateConfiguration",
    "GetBucketCORS": "GetBucketCors",
    "GetBucketObjectLockConfiguration": "GetObjectLockConfiguration",
    "GetBucketPublicAccessBlock": "GetPublicAccessBlock",
    "GetEncryptionConfiguration": "GetBucketEncryption",
    "GetLifecycleConfiguration": "GetBucketLifecycleConfiguration",
    "GetReplicationConfiguration": "GetBucketReplication",
    "ListBucket": "ListObjectsV2",
}
_OBJECTS = {
    "ReadArchives": f"{_STATE}/models/x.tar.gz",
    "ReadTheState": f"{_STATE}/kennel/terraform.tfstate",
    "LockTheState": f"{_STATE}/kennel/terraform.tfstate.tflock",
    "KeepPlans": f"{_STATE}/plans/1",
}


def made(world: World) -> None:
    """The roles, as ./inv ci.setup has them made, and the pipeline's session."""
    ci = f'-var=ci={{github={{repository="{_REPOSITORY}"}},plan_days=0}}'
    bootstrap = state_bucket.bootstrap(world.stage)
    bootstrap.apply_directly([*state_bucket.variables(world.stage), ci], lambda _: None)
    _let_in_by_the_key(world)
    token = identity_token(f"repo:{_REPOSITORY}:pull_request", "sts.amazonaws.com")
    role = f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"
    run = Run("gitlab", "", "", "c" * 40, None, None, "", "", role, identity_token=token)
    world.planner = identity.assume(world.stage, run, "plan")


def _let_in_by_the_key(world: World) -> None:
    """What docs/ci.md asks of an artifact bucket's own key."""
    kms = world.client("kms")
    key = kms.list_keys()["Keys"][0]["KeyId"]
    policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    role = {"AWS": f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"}
    actions = ["kms:DescribeKey", "kms:Decrypt", "kms:GenerateDataKey"]
    mine = {
        "Sid": "LetThePipelineIn",
        "Effect": "Allow",
        "Principal": role,
        "Action": actions,
        "Resource": "*",
    }
    policy["Statement"].append(mine)
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))


def plan(world: World) -> str:
    """As a pipeline plans, of all that is there."""
    assert world.planner is not None
    deployment = Deployment(world.planner, lambda _: None)
    deployment.prepare()
    deployment.plan(force=True)
    return ""


def _policy(name: str) -> Document:
    arn = f"arn:aws:iam::{ACCOUNT}:policy/kennel-ci-local-{name}"

    def read(world: World) -> Policy:
        iam = world.client("iam")
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        return dict(iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"])

    def write(world: World, document: Policy) -> None:
        iam = world.client("iam")
        before = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(document), SetAsDefault=True)
        iam.delete_policy_version(PolicyArn=arn, VersionId=before)

    return Document(f"kennel-ci-local-{name}", f"kennel-ci-local-{name}", read, write)


READ, STATE = _policy("read"), _policy("state")


def again(document: Document, sid: str) -> Callable[[World], str]:
    """Each of the statement's calls; the first refusal."""

    def calls_of_a_plan(world: World) -> str:
        actions = world.statements[document.name][sid]["Action"]
        actions = [actions] if isinstance(actions, str) else actions
        said = [_refusal(world, action, sid) for action in sorted(actions)]
        return next(filter(None, said), "")

    return calls_of_a_plan


def _refusal(world: World, action: str, sid: str) -> str:
    service, _, name = action.partition(":")
    operation = _S3.get(name, name) if service == "s3" else name
    given = dict(_GIVEN.get(operation, {}))
    if service == "s3":
        bucket, _, key = _OBJECTS.get(sid, f"{world.outputs['artifact_bucket']}/").partition("/")
        given = (
            {"Bucket": bucket} | ({"Key": key} if key else {}) | ({"Body": b""} if name[:3] == "Put" else {})
        )
    if service == "lambda" and operation != "GetAccountSettings":
        given["FunctionName"] = f"{PREFIX}-classify"
    if operation.startswith("ListTags"):
        given = _ARN[service]
    if service == "application-autoscaling" and operation.startswith("Describe"):
        given = {"ServiceNamespace": "sagemaker"}
    names = {"servicequotas": "service-quotas"}
    client = _client(world)(names.get(service, service))
    try:
        getattr(client, _method(client, operation))(**given)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation"):
            return str(error)
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
            return str(error)
    return ""


def _method(client: Any, operation: str) -> str:
    return next(name for name, known in client.meta.method_to_api_mapping.items() if known == operation)


def _client(world: World) -> Callable[[str], Any]:
    if world.reader is None:
        assert world.planner is not None
        mine = world.planner.environment
        world.reader = clients(
            world.cloud, key=mine["AWS_ACCESS_KEY_ID"], secret=mine["AWS_SECRET_ACCESS_KEY"],
            token=mine["AWS_SESSION_TOKEN"],
        )  # fmt: skip
    return world.reader
