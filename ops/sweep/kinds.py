"""The kinds of things that a stage can leave, in the order in which they let go of each other."""

from __future__ import annotations

from typing import NamedTuple

from ops.sweep import network, others, sagemaker
from ops.sweep.listing import Listing, Removal, call, named, tagged

AGAIN = "Run ./inv destroy again; where it says that you may not, use credentials that may."
WAIT = "Run ./inv destroy again in some minutes: what AWS attached lets go late."


class Kind(NamedTuple):
    """How things of a kind are found and removed."""

    listing: Listing
    removal: Removal
    remedy: str = AGAIN
    yields: bool = (
        False  # later, by itself: network interfaces and what they hold outlive their owners for minutes
    )
    needed: bool = True  # for the proof that nothing is left


def _sagemaker(operation: str, key: str, name: str, arn: str, removal: Removal) -> Kind:
    return Kind(named("sagemaker", operation, key, name, sagemaker.tags(arn)), removal)


def _job(kind: str) -> Kind:
    return Kind(
        sagemaker.running(kind), sagemaker.stop(kind),
        "It stops within minutes: ./inv jobs shows it; then run ./inv destroy again.",
    )  # fmt: skip


KINDS: dict[str, Kind] = {
    "tuning job": _job("HyperParameterTuningJob"),
    "training job": _job("TrainingJob"),
    "bulk job": _job("TransformJob"),
    "scalable target": Kind(sagemaker.scalable_targets, sagemaker.deregister),
    "stack": Kind(
        sagemaker.stacks, sagemaker.delete_stack,
        "CloudFormation's events of the stack say what holds it; then run ./inv destroy again.",
    ),
    "inference component": _sagemaker(
        "list_inference_components", "InferenceComponents", "InferenceComponentName", "InferenceComponentArn",
        sagemaker.delete_component,
    ),
    "endpoint": _sagemaker(
        "list_endpoints", "Endpoints", "EndpointName", "EndpointArn", sagemaker.delete_endpoint
    ),
    "endpoint configuration": _sagemaker(
        "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName", "EndpointConfigArn",
        call("sagemaker", "delete_endpoint_config", "EndpointConfigName"),
    ),
    "model": _sagemaker(
        "list_models", "Models", "ModelName", "ModelArn", call("sagemaker", "delete_model", "ModelName")
    ),
    "notebook instance": _sagemaker(
        "list_notebook_instances", "NotebookInstances", "NotebookInstanceName", "NotebookInstanceArn",
        sagemaker.delete_notebook,
    ),
    "notebook lifecycle configuration": Kind(
        named(
            "sagemaker", "list_notebook_instance_lifecycle_configs", "NotebookInstanceLifecycleConfigs",
            "NotebookInstanceLifecycleConfigName", sagemaker.tags("NotebookInstanceLifecycleConfigArn"),
            untagged=True,
        ),
        call("sagemaker", "delete_notebook_instance_lifecycle_config", "NotebookInstanceLifecycleConfigName"),
    ),
    "image repository": Kind(
        named("ecr", "describe_repositories", "repositories", "repositoryName", others.repository_tags),
        others.delete_repository,
    ),
    "function": Kind(
        named("lambda", "list_functions", "Functions", "FunctionName", others.function_tags),
        call("lambda", "delete_function", "FunctionName"),
    ),
    "instance": Kind(network.instances, call("ec2", "terminate_instances", "InstanceIds", many=True), yields=True),
    "volume": Kind(network.volumes, call("ec2", "delete_volume", "VolumeId")),
    "flow log": Kind(
        tagged("describe_flow_logs", "FlowLogs", "FlowLogId", "Filter"),
        call("ec2", "delete_flow_logs", "FlowLogIds", many=True),
    ),
    "VPC endpoint": Kind(
        network.vpc_endpoints, call("ec2", "delete_vpc_endpoints", "VpcEndpointIds", many=True), WAIT, yields=True
    ),
    "NAT gateway": Kind(
        network.nat_gateways, call("ec2", "delete_nat_gateway", "NatGatewayId"), WAIT, yields=True
    ),
    "elastic IP": Kind(
        tagged("describe_addresses", "Addresses", "AllocationId"),
        call("ec2", "release_address", "AllocationId"), WAIT, yields=True,
    ),
    "network interface": Kind(
        network.interfaces, call("ec2", "delete_network_interface", "NetworkInterfaceId"), WAIT, yields=True
    ),
    "security group": Kind(network.security_groups, network.delete_security_group, WAIT, yields=True),
    "internet gateway": Kind(network.internet_gateways, network.delete_internet_gateway, WAIT, yields=True),
    "route table": Kind(network.route_tables, network.delete_route_table, WAIT, yields=True),
    "subnet": Kind(
        tagged("describe_subnets", "Subnets", "SubnetId"), call("ec2", "delete_subnet", "SubnetId"), WAIT, yields=True
    ),
    "VPC": Kind(tagged("describe_vpcs", "Vpcs", "VpcId"), call("ec2", "delete_vpc", "VpcId"), WAIT, yields=True),
    "alarm": Kind(others.alarms, call("cloudwatch", "delete_alarms", "AlarmNames", many=True)),
    "alarm of the scaling": Kind(
        others.tracking_alarms, call("cloudwatch", "delete_alarms", "AlarmNames", many=True)
    ),
    "dashboard": Kind(  # without tags, in any account
        named("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
        call("cloudwatch", "delete_dashboards", "DashboardNames", many=True),
    ),
    "topic": Kind(others.topics, call("sns", "delete_topic", "TopicArn")),
    "log group": Kind(others.log_groups, call("logs", "delete_log_group", "logGroupName")),
    "role": Kind(named("iam", "list_roles", "Roles", "RoleName", others.role_tags), others.delete_role),
    "instance profile": Kind(others.instance_profiles, others.delete_instance_profile),
    "bucket": Kind(
        others.artifact_bucket, lambda sweeper, bucket: others.remove_bucket(sweeper.client("s3"), bucket)
    ),
    "tagged": Kind(
        others.anything_tagged, others.by_hand,
        "Terraform did not make it: see who did, then delete it, or take the tag kennel:stage off it.", needed=False,
    ),
}  # fmt: skip

# By Terraform's type: the kind that finds what it leaves, or why nothing has to look for it.
RESOURCES: dict[str, str] = {
    "aws_appautoscaling_policy": "goes with its scalable target",
    "aws_appautoscaling_scheduled_action": "goes with its scalable target",
    "aws_appautoscaling_target": "scalable target",
    "aws_cloudformation_stack": "stack",
    "aws_cloudwatch_dashboard": "dashboard",
    "aws_cloudwatch_log_group": "log group",
    "aws_cloudwatch_metric_alarm": "alarm",
    "aws_default_security_group": "goes with its VPC",
    "aws_ecr_lifecycle_policy": "goes with its image repository",
    "aws_ecr_repository": "image repository",
    "aws_eip": "elastic IP",
    "aws_flow_log": "flow log",
    "aws_iam_instance_profile": "instance profile",
    "aws_iam_openid_connect_provider": "stays: the pipelines' way in, of terraform/bootstrap",
    "aws_iam_policy": "stays: of the pipelines' roles, in terraform/bootstrap",
    "aws_iam_role": "role",
    "aws_iam_role_policy": "goes with its role",
    "aws_iam_role_policy_attachment": "goes with its role",
    "aws_instance": "instance",
    "aws_internet_gateway": "internet gateway",
    "aws_lambda_alias": "goes with its function",
    "aws_lambda_function": "function",
    "aws_lambda_function_event_invoke_config": "goes with its function",
    "aws_lambda_function_url": "goes with its function",
    "aws_lambda_permission": "goes with its function",
    "aws_lambda_provisioned_concurrency_config": "goes with its function",
    "aws_nat_gateway": "NAT gateway",
    "aws_route": "goes with its route table",
    "aws_route_table": "route table",
    "aws_route_table_association": "goes with its route table",
    "aws_s3_bucket": "bucket",  # and not the data bucket
    "aws_s3_bucket_lifecycle_configuration": "goes with its bucket",
    "aws_s3_bucket_logging": "goes with its bucket",
    "aws_s3_bucket_ownership_controls": "goes with its bucket",
    "aws_s3_bucket_policy": "goes with its bucket",
    "aws_s3_bucket_public_access_block": "goes with its bucket",
    "aws_s3_bucket_server_side_encryption_configuration": "goes with its bucket",
    "aws_s3_bucket_versioning": "goes with its bucket",
    "aws_s3_object": "goes with its bucket",
    "aws_sagemaker_endpoint": "endpoint",
    "aws_sagemaker_endpoint_configuration": "endpoint configuration",
    "aws_sagemaker_model": "model",
    "aws_sagemaker_notebook_instance": "notebook instance",
    "aws_sagemaker_notebook_instance_lifecycle_configuration": "notebook lifecycle configuration",
    "aws_security_group": "security group",
    "aws_sns_topic": "topic",
    "aws_sns_topic_policy": "goes with its topic",
    "aws_sns_topic_subscription": "goes with its topic",
    "aws_subnet": "subnet",
    "aws_vpc": "VPC",
    "aws_vpc_endpoint": "VPC endpoint",
    "aws_vpc_security_group_egress_rule": "goes with its security group",
    "aws_vpc_security_group_ingress_rule": "goes with its security group",
    "terraform_data": "is in the state alone",
}

MADE = KINDS.keys() & set(RESOURCES.values())  # by Terraform; the others are made by services, or are jobs
