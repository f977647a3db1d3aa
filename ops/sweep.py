"""Finds what is ours in a cloud, and removes it: the proof after a destroy, and the repair after a killed apply.

Terraform knows what it stored. What a killed Terraform made and did not store, and what services make by
themselves (log groups), is found here: by name below the stage's prefix, or by the tag that the root module puts
on everything. A data bucket is never among it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from ml.errors import KennelError
from ops.live import is_gone, wait_until_stable
from ops.scaling import dimension
from ops.stage import Stage

TAG = "kennel:stage"
DELETE_SECONDS = 600


@dataclass(frozen=True)
class Found:
    """Something of ours that exists."""

    kind: str
    identifier: str

    def __str__(self) -> str:
        return f"{self.kind} {self.identifier}"


Listing = Callable[["Sweeper"], Iterator[str]]
Removal = Callable[["Sweeper", str], object]
Tags = Callable[["Sweeper", dict[str, Any]], dict[str, str]]


class Sweeper:
    """Lists and removes what belongs to one stage of one prefix, e.g. `kennel-local`."""

    def __init__(self, stage: Stage, prefix: str) -> None:
        self.stage = stage
        self.prefix = prefix
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self.stage.client(service)
        return self._clients[service]

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
        """Yield the entries of all pages of a listing."""
        client = self.client(service)
        if client.can_paginate(operation):
            for page in client.get_paginator(operation).paginate(**arguments):
                yield from page.get(key, [])
        else:
            yield from getattr(client, operation)(**arguments).get(key, [])

    @property
    def tagged(self) -> list[dict[str, Any]]:
        return [{"Name": f"tag:{TAG}", "Values": [self.prefix]}]

    @property
    def artifact_bucket(self) -> str:
        """The one bucket that may be emptied and removed, by its exact name: modules/storage makes it."""
        return f"{self.prefix}-artifacts-{self.stage.account_id}"

    def is_ours(self, name: str) -> bool:
        return name == self.prefix or name.startswith(f"{self.prefix}-")

    def find(self) -> list[Found]:
        """Return all that is ours, in the order in which it can be removed.

        Raises:
            KennelError: the credentials may not list something.
        """
        found: list[Found] = []
        for kind, (listing, _) in KINDS.items():
            try:
                found += [Found(kind, name) for name in listing(self)]
            except (BotoCoreError, ClientError) as error:
                raise KennelError(
                    "A sweep lists everything that could be left.",
                    f"{kind}: {error}",
                    "Use credentials that may list it, then run the same command again.",
                ) from error
        return found

    def remove(self, found: list[Found]) -> list[Found]:
        """Remove what was found; return what resisted until the deadline."""
        deadline = time.monotonic() + DELETE_SECONDS
        left = found
        while left:
            resisting = [entry for entry in left if not self._removed(entry)]
            if time.monotonic() > deadline or (len(resisting) == len(left) and not _may_yield(resisting)):
                return resisting
            left = resisting
            if left:
                time.sleep(1)
        return []

    def _removed(self, entry: Found) -> bool:
        try:
            KINDS[entry.kind][1](self, entry.identifier)
        except ClientError as error:
            return is_gone(error)
        except WaiterError:
            return False
        return True


def _may_yield(resisting: list[Found]) -> bool:
    """Whether waiting can help: network interfaces and what they hold let go minutes after their owners."""
    return any(entry.kind in {"network interface", "security group", "subnet", "VPC"} for entry in resisting)


def purge_bucket(s3: Any, bucket: str) -> int:
    """Delete all versions of all objects in a bucket; return their number."""
    count = 0
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        entries = [
            {"Key": entry["Key"], "VersionId": entry["VersionId"]}
            for entry in page.get("Versions", []) + page.get("DeleteMarkers", [])
        ]
        if entries:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": entries, "Quiet": True})
            count += len(entries)
    return count


def _scalable_targets(sweeper: Sweeper) -> Iterator[str]:
    entries = sweeper.pages(
        "application-autoscaling",
        "describe_scalable_targets",
        "ScalableTargets",
        ServiceNamespace="sagemaker",
    )
    return (e["ResourceId"] for e in entries if sweeper.is_ours(e["ResourceId"].split("/")[1]))


def _deregister(sweeper: Sweeper, resource: str) -> object:
    return sweeper.client("application-autoscaling").deregister_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=resource,
        ScalableDimension=dimension(resource),
    )


def _stacks(sweeper: Sweeper) -> Iterator[str]:
    for stack in sweeper.pages("cloudformation", "describe_stacks", "Stacks"):
        tags = {tag["Key"]: tag["Value"] for tag in stack.get("Tags", [])}
        if sweeper.is_ours(stack["StackName"]) and tags.get(TAG) == sweeper.prefix:
            yield stack["StackName"]


def _delete_stack(sweeper: Sweeper, name: str) -> object:
    client = sweeper.client("cloudformation")
    stack = client.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    client.delete_stack(StackName=stack)
    delay = 1 if sweeper.stage.name == "local" else 15
    return client.get_waiter("stack_delete_complete").wait(
        StackName=stack, WaiterConfig={"Delay": delay, "MaxAttempts": DELETE_SECONDS // delay}
    )


def _delete_component(sweeper: Sweeper, name: str) -> object:
    """One that is being made or updated cannot be deleted, nor an endpoint before it is gone."""
    client = sweeper.client("sagemaker")
    deadline = time.monotonic() + DELETE_SECONDS
    while time.monotonic() < deadline:  # the ClientError of one that is gone ends it
        state = client.describe_inference_component(InferenceComponentName=name)["InferenceComponentStatus"]
        if state in {"InService", "Failed"}:
            client.delete_inference_component(InferenceComponentName=name)
        time.sleep(1)
    return None


def _delete_endpoint(sweeper: Sweeper, name: str) -> object:
    wait_until_stable(sweeper.stage, name)  # one that is being made or updated cannot be deleted
    client = sweeper.client("sagemaker")
    client.delete_endpoint(EndpointName=name)
    return client.get_waiter("endpoint_deleted").wait(
        EndpointName=name,
        WaiterConfig={"Delay": 1 if sweeper.stage.name == "local" else 15, "MaxAttempts": 120},
    )


def _delete_notebook(sweeper: Sweeper, name: str) -> object:
    client = sweeper.client("sagemaker")
    if client.describe_notebook_instance(NotebookInstanceName=name)["NotebookInstanceStatus"] == "InService":
        client.stop_notebook_instance(NotebookInstanceName=name)
        client.get_waiter("notebook_instance_stopped").wait(NotebookInstanceName=name)
    return client.delete_notebook_instance(NotebookInstanceName=name)


def _named(service: str, operation: str, key: str, field: str, tags: Tags | None = None) -> Listing:
    """List by name, and by tag where the service keeps tags: a name alone may be somebody else's choice."""

    def listing(sweeper: Sweeper) -> Iterator[str]:
        for entry in sweeper.pages(service, operation, key):
            if sweeper.is_ours(entry[field]) and (
                tags is None or tags(sweeper, entry).get(TAG) == sweeper.prefix
            ):
                yield entry[field]

    return listing


def _sagemaker_tags(arn: str) -> Tags:
    def tags(sweeper: Sweeper, entry: dict[str, Any]) -> dict[str, str]:
        found = sweeper.pages("sagemaker", "list_tags", "Tags", ResourceArn=entry[arn])
        return {tag["Key"]: tag["Value"] for tag in found}

    return tags


def _repository_tags(sweeper: Sweeper, entry: dict[str, Any]) -> dict[str, str]:
    found = sweeper.client("ecr").list_tags_for_resource(resourceArn=entry["repositoryArn"])["tags"]
    return {tag["Key"]: tag["Value"] for tag in found}


def _delete_repository(sweeper: Sweeper, name: str) -> None:
    sweeper.client("ecr").delete_repository(repositoryName=name, force=True)  # with the images in it


def _function_tags(sweeper: Sweeper, entry: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = sweeper.client("lambda").list_tags(Resource=entry["FunctionArn"])["Tags"]
    return found


def _role_tags(sweeper: Sweeper, entry: dict[str, Any]) -> dict[str, str]:
    found = sweeper.client("iam").list_role_tags(RoleName=entry["RoleName"])["Tags"]
    return {tag["Key"]: tag["Value"] for tag in found}


def _tagged(operation: str, key: str, field: str, filters: str = "Filters") -> Listing:
    def listing(sweeper: Sweeper) -> Iterator[str]:
        return (e[field] for e in sweeper.pages("ec2", operation, key, **{filters: sweeper.tagged}))

    return listing


def _call(service: str, operation: str, argument: str, *, many: bool = False) -> Removal:
    def removal(sweeper: Sweeper, identifier: str) -> object:
        return getattr(sweeper.client(service), operation)(**{argument: [identifier] if many else identifier})

    return removal


def _instances(sweeper: Sweeper) -> Iterator[str]:
    for reservation in sweeper.pages("ec2", "describe_instances", "Reservations", Filters=sweeper.tagged):
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] not in {"terminated", "shutting-down"}:
                yield instance["InstanceId"]


def _security_groups(sweeper: Sweeper) -> Iterator[str]:
    groups = sweeper.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=sweeper.tagged)
    return (group["GroupId"] for group in groups if group["GroupName"] != "default")


def _delete_security_group(sweeper: Sweeper, group: str) -> object:
    """Groups that name each other can only go when the rules are gone."""
    ec2 = sweeper.client("ec2")
    described = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    for rules, revoke in (
        (described["IpPermissions"], ec2.revoke_security_group_ingress),
        (described["IpPermissionsEgress"], ec2.revoke_security_group_egress),
    ):
        if rules:
            revoke(GroupId=group, IpPermissions=rules)
    return ec2.delete_security_group(GroupId=group)


def _internet_gateways(sweeper: Sweeper) -> Iterator[str]:
    gateways = sweeper.pages("ec2", "describe_internet_gateways", "InternetGateways", Filters=sweeper.tagged)
    return (gateway["InternetGatewayId"] for gateway in gateways)


def _delete_internet_gateway(sweeper: Sweeper, gateway: str) -> object:
    ec2 = sweeper.client("ec2")
    described = ec2.describe_internet_gateways(InternetGatewayIds=[gateway])["InternetGateways"][0]
    for attachment in described["Attachments"]:
        ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=attachment["VpcId"])
    return ec2.delete_internet_gateway(InternetGatewayId=gateway)


def _vpc_endpoints(sweeper: Sweeper) -> Iterator[str]:
    endpoints = sweeper.pages("ec2", "describe_vpc_endpoints", "VpcEndpoints", Filters=sweeper.tagged)
    return (
        entry["VpcEndpointId"] for entry in endpoints if entry["State"].lower() not in {"deleted", "deleting"}
    )


def _nat_gateways(sweeper: Sweeper) -> Iterator[str]:
    gateways = sweeper.pages("ec2", "describe_nat_gateways", "NatGateways", Filter=sweeper.tagged)
    return (
        gateway["NatGatewayId"] for gateway in gateways if gateway["State"] not in {"deleted", "deleting"}
    )


def _route_tables(sweeper: Sweeper) -> Iterator[str]:
    for table in sweeper.pages("ec2", "describe_route_tables", "RouteTables", Filters=sweeper.tagged):
        if not any(association.get("Main") for association in table["Associations"]):
            yield table["RouteTableId"]


def _delete_route_table(sweeper: Sweeper, table: str) -> object:
    ec2 = sweeper.client("ec2")
    for association in ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Associations"]:
        ec2.disassociate_route_table(AssociationId=association["RouteTableAssociationId"])
    return ec2.delete_route_table(RouteTableId=table)


def _log_groups(sweeper: Sweeper) -> Iterator[str]:
    for group in sweeper.pages("logs", "describe_log_groups", "logGroups"):
        if any(sweeper.is_ours(part) for part in group["logGroupName"].split("/")):
            yield group["logGroupName"]


def _delete_role(sweeper: Sweeper, role: str) -> object:
    iam = sweeper.client("iam")
    for profile in iam.list_instance_profiles_for_role(RoleName=role)["InstanceProfiles"]:
        iam.remove_role_from_instance_profile(
            InstanceProfileName=profile["InstanceProfileName"], RoleName=role
        )
    for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        iam.delete_role_policy(RoleName=role, PolicyName=policy)
    for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=role, PolicyArn=attached["PolicyArn"])
    return iam.delete_role(RoleName=role)


def _topics(sweeper: Sweeper) -> Iterator[str]:
    topics = sweeper.pages("sns", "list_topics", "Topics")
    return (topic["TopicArn"] for topic in topics if sweeper.is_ours(topic["TopicArn"].rpartition(":")[2]))


def _artifact_bucket(sweeper: Sweeper) -> Iterator[str]:
    """Data buckets are not even looked at."""
    buckets = sweeper.client("s3").list_buckets()["Buckets"]
    return (bucket["Name"] for bucket in buckets if bucket["Name"] == sweeper.artifact_bucket)


def remove_bucket(s3: Any, bucket: str) -> object:
    """Empty a bucket and delete it."""
    purge_bucket(s3, bucket)
    return s3.delete_bucket(Bucket=bucket)


KINDS: dict[str, tuple[Listing, Removal]] = {  # in the order in which they let go of each other
    "scalable target": (_scalable_targets, _deregister),
    "stack": (_stacks, _delete_stack),
    "inference component": (
        _named(
            "sagemaker",
            "list_inference_components",
            "InferenceComponents",
            "InferenceComponentName",
            _sagemaker_tags("InferenceComponentArn"),
        ),
        _delete_component,
    ),
    "endpoint": (
        _named("sagemaker", "list_endpoints", "Endpoints", "EndpointName", _sagemaker_tags("EndpointArn")),
        _delete_endpoint,
    ),
    "endpoint configuration": (
        _named(
            "sagemaker",
            "list_endpoint_configs",
            "EndpointConfigs",
            "EndpointConfigName",
            _sagemaker_tags("EndpointConfigArn"),
        ),
        _call("sagemaker", "delete_endpoint_config", "EndpointConfigName"),
    ),
    "model": (
        _named("sagemaker", "list_models", "Models", "ModelName", _sagemaker_tags("ModelArn")),
        _call("sagemaker", "delete_model", "ModelName"),
    ),
    "notebook instance": (
        _named(
            "sagemaker",
            "list_notebook_instances",
            "NotebookInstances",
            "NotebookInstanceName",
            _sagemaker_tags("NotebookInstanceArn"),
        ),
        _delete_notebook,
    ),
    "notebook lifecycle configuration": (
        _named(
            "sagemaker",
            "list_notebook_instance_lifecycle_configs",
            "NotebookInstanceLifecycleConfigs",
            "NotebookInstanceLifecycleConfigName",
        ),
        _call(
            "sagemaker", "delete_notebook_instance_lifecycle_config", "NotebookInstanceLifecycleConfigName"
        ),
    ),
    "image repository": (
        _named("ecr", "describe_repositories", "repositories", "repositoryName", _repository_tags),
        _delete_repository,
    ),
    "function": (
        _named("lambda", "list_functions", "Functions", "FunctionName", _function_tags),
        _call("lambda", "delete_function", "FunctionName"),
    ),
    "instance": (_instances, _call("ec2", "terminate_instances", "InstanceIds", many=True)),
    "flow log": (
        _tagged("describe_flow_logs", "FlowLogs", "FlowLogId", "Filter"),
        _call("ec2", "delete_flow_logs", "FlowLogIds", many=True),
    ),
    "VPC endpoint": (
        _vpc_endpoints,
        _call("ec2", "delete_vpc_endpoints", "VpcEndpointIds", many=True),
    ),
    "NAT gateway": (_nat_gateways, _call("ec2", "delete_nat_gateway", "NatGatewayId")),
    "elastic IP": (
        _tagged("describe_addresses", "Addresses", "AllocationId"),
        _call("ec2", "release_address", "AllocationId"),
    ),
    "network interface": (
        _tagged("describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
        _call("ec2", "delete_network_interface", "NetworkInterfaceId"),
    ),
    "security group": (_security_groups, _delete_security_group),
    "internet gateway": (_internet_gateways, _delete_internet_gateway),
    "route table": (_route_tables, _delete_route_table),
    "subnet": (_tagged("describe_subnets", "Subnets", "SubnetId"), _call("ec2", "delete_subnet", "SubnetId")),
    "VPC": (_tagged("describe_vpcs", "Vpcs", "VpcId"), _call("ec2", "delete_vpc", "VpcId")),
    "alarm": (
        _named("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
        _call("cloudwatch", "delete_alarms", "AlarmNames", many=True),
    ),
    "dashboard": (
        _named("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
        _call("cloudwatch", "delete_dashboards", "DashboardNames", many=True),
    ),
    "topic": (_topics, _call("sns", "delete_topic", "TopicArn")),
    "log group": (_log_groups, _call("logs", "delete_log_group", "logGroupName")),
    "role": (_named("iam", "list_roles", "Roles", "RoleName", _role_tags), _delete_role),
    "instance profile": (
        _named("iam", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName"),
        _call("iam", "delete_instance_profile", "InstanceProfileName"),
    ),
    "bucket": (_artifact_bucket, lambda sweeper, bucket: remove_bucket(sweeper.client("s3"), bucket)),
}
