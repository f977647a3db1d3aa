"""Single operations of the other services that are not the action of their name on what they name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from localcloud.authorization.asks import Ask
from localcloud.authorization.calls import Call
from localcloud.authorization.mapping import ec2, generic


def _put_metric_data(call: Call) -> list[Ask]:
    return [
        Ask(
            "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": [str(call.params.get("Namespace", ""))]}
        )
    ]


def _send_command(call: Call) -> list[Ask]:
    """On the document, and on each instance. AWS's own documents belong to no account."""
    name = str(call.params.get("DocumentName", ""))
    owner = "" if name.startswith("AWS-") else call.account
    document = name if name.startswith("arn:") else f"arn:aws:ssm:{call.region}:{owner}:document/{name}"
    resources = [document]
    for one in call.params.get("InstanceIds") or []:
        resources.append(
            ec2.arn_of(call, one)
            if one.startswith("i-")
            else f"arn:aws:ssm:{call.region}:{call.account}:managed-instance/{one}"
        )
    if call.params.get("OutputS3BucketName"):
        resources.append(f"arn:aws:s3:::{call.params['OutputS3BucketName']}/*")
    return [Ask("ssm:SendCommand", one) for one in resources] + generic.passed_roles(call)


def _start_session(call: Call) -> list[Ask]:
    """On the instance, and on the document where one is named."""
    resources = [ec2.arn_of(call, str(call.params.get("Target", "i-*")))]
    name = call.params.get("DocumentName")
    if name:
        owner = "" if str(name).startswith("AWS-") else call.account
        resources.append(f"arn:aws:ssm:{call.region}:{owner}:document/{name}")
    return [Ask("ssm:StartSession", one) for one in resources]


def _instance_information(call: Call) -> list[Ask]:
    return [Ask("ssm:UpdateInstanceInformation", ec2.arn_of(call, str(call.params.get("InstanceId", "i-*"))))]


def _everything(call: Call) -> list[Ask]:
    return [Ask(f"{call.prefix}:{call.operation}", "*")]


def _parameters(call: Call) -> list[Ask]:
    names = [str(one).lstrip("/") for one in call.flat.get("name") or call.flat.get("path") or ["*"]]
    base = f"arn:aws:ssm:{call.region}:{call.account}:parameter"
    found = []
    for one in names:
        # A version or label that is chosen, as in "name:3", is no part of the ARN.
        arn = one if one.startswith("arn:") else f"{base}/{one.partition(':')[0]}"
        found.append(Ask(f"ssm:{call.operation}", arn, generic.tag_keys(call.params)))
    return found


def _scaling(call: Call) -> list[Ask]:
    """Scalable targets have ids of their own in ARNs, which a request does not know: any of the account's."""
    context = generic.tag_keys(call.params)
    for name, key in (
        ("ServiceNamespace", "application-autoscaling:service-namespace"),
        ("ScalableDimension", "application-autoscaling:scalable-dimension"),
    ):
        if call.params.get(name):
            context[key] = [str(call.params[name])]
    if call.params.get("ResourceARN"):
        resource = str(call.params["ResourceARN"])
    elif call.operation.startswith("Describe"):
        resource = "*"
    else:
        resource = f"arn:aws:application-autoscaling:{call.region}:{call.account}:scalable-target/*"
    found = [Ask(f"{call.prefix}:{call.operation}", resource, context)]
    if call.operation == "RegisterScalableTarget" and call.params.get("Tags"):
        found.append(Ask("application-autoscaling:TagResource", resource, context))
    return found + generic.passed_roles(call)


def _stack(call: Call) -> list[Ask]:
    """A stack by its name or id; where it has no id yet, any of its name."""
    name = str(call.params.get("StackName") or "")
    base = f"arn:aws:cloudformation:{call.region}:{call.account}"
    if not name:
        resource = f"{base}:stack/*/*" if call.operation == "DescribeStacks" else "*"
    else:
        resource = name if name.startswith("arn:") else f"{base}:stack/{name}/{_stack_id(call, name)}"
    context = generic.tag_keys(call.params)
    if call.params.get("RoleARN"):
        context["cloudformation:rolearn"] = [str(call.params["RoleARN"])]
    return [Ask(f"cloudformation:{call.operation}", resource, context), *generic.passed_roles(call)]


def _stack_id(call: Call, name: str) -> str:
    from moto.cloudformation.models import cloudformation_backends

    backend: Any = cloudformation_backends[call.account][call.region]
    for stack in list(backend.stacks.values()):
        if stack.name == name:
            return str(stack.stack_id).rpartition("/")[2]
    return "*"


def _alarms(call: Call) -> list[Ask]:
    names = call.flat.get("alarmname") or ["*"]
    base = f"arn:aws:cloudwatch:{call.region}:{call.account}:alarm"
    context = generic.tag_keys(call.params)
    found = [Ask(f"cloudwatch:{call.operation}", f"{base}:{one}", context) for one in names]
    if call.operation.startswith("Put") and call.params.get("Tags"):
        found.append(Ask("cloudwatch:TagResource", f"{base}:{names[0]}", context))
    return found


def _dashboards(call: Call) -> list[Ask]:
    names = call.flat.get("dashboardname") or ["*"]
    return [
        Ask(f"cloudwatch:{call.operation}", f"arn:aws:cloudwatch::{call.account}:dashboard/{one}")
        for one in names
    ]


def _budgets(call: Call) -> list[Ask]:
    views = call.operation.startswith(("Describe", "List"))
    name = call.params.get("BudgetName") or (call.params.get("Budget") or {}).get("BudgetName") or "*"
    action = "budgets:ViewBudget" if views else "budgets:ModifyBudget"
    return [Ask(action, f"arn:aws:budgets::{call.account}:budget/{name}", generic.tag_keys(call.params))]


def _topic(call: Call) -> list[Ask]:
    arns = [arn for name in ("topicarn", "targetarn", "resourcearn") for arn in call.flat.get(name, [])]
    if not arns:
        return generic.asks(call)
    context = generic.tag_keys(call.params)
    for name, key in (("Protocol", "sns:protocol"), ("Endpoint", "sns:endpoint")):
        if call.params.get(name):
            context[key] = [str(call.params[name])]
    action = call.operation.removesuffix("Batch")
    return [Ask(f"sns:{action}", arn, context) for arn in arns]


def _queue(call: Call) -> list[Ask]:
    url = call.first("queueurl")
    if url is None:
        return generic.asks(call)
    account, name = ([call.account, *url.rsplit("/", 2)])[-2:]
    action = call.operation.removesuffix("Batch")
    return [
        Ask(f"sqs:{action}", f"arn:aws:sqs:{call.region}:{account}:{name}", generic.tag_keys(call.params))
    ]


def _repositories(call: Call) -> list[Ask]:
    """Of another account where the registry is named."""
    registry = call.params.get("registryId")
    return generic.asks(replace(call, account=str(registry)) if registry else call)


_STACKS = (
    "CreateStack", "UpdateStack", "DeleteStack", "DescribeStacks", "DescribeStackEvents", "DescribeStackResources",
    "DescribeStackResource", "ListStackResources", "GetTemplate", "GetStackPolicy", "SetStackPolicy",
    "UpdateTerminationProtection", "CreateChangeSet", "DescribeChangeSet", "ExecuteChangeSet",
)  # fmt: skip
_TOPICS = (
    "Publish", "PublishBatch", "Subscribe", "GetTopicAttributes", "SetTopicAttributes", "DeleteTopic",
    "ListSubscriptionsByTopic", "TagResource", "UntagResource", "ListTagsForResource", "ConfirmSubscription",
    "AddPermission", "RemovePermission",
)  # fmt: skip
_QUEUES = (
    "SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch",
    "GetQueueAttributes", "SetQueueAttributes", "DeleteQueue", "PurgeQueue", "TagQueue", "UntagQueue",
    "ListQueueTags", "ChangeMessageVisibility", "ChangeMessageVisibilityBatch", "GetQueueUrl",
)  # fmt: skip
_ALARMS = (
    "PutMetricAlarm", "PutCompositeAlarm", "DeleteAlarms", "DescribeAlarms", "DescribeAlarmHistory",
    "SetAlarmState", "EnableAlarmActions", "DisableAlarmActions",
)  # fmt: skip
_SCALING = (
    "RegisterScalableTarget", "DeregisterScalableTarget", "PutScalingPolicy", "DeleteScalingPolicy",
    "PutScheduledAction", "DeleteScheduledAction", "DescribeScalableTargets", "DescribeScalingPolicies",
    "DescribeScalingActivities", "DescribeScheduledActions", "TagResource", "UntagResource", "ListTagsForResource",
)  # fmt: skip
_BUDGETS = (
    "CreateBudget", "CreateNotification", "CreateSubscriber", "DeleteBudget", "DeleteNotification",
    "DeleteSubscriber", "DescribeBudget", "DescribeBudgets", "DescribeNotificationsForBudget",
    "DescribeSubscribersForNotification", "UpdateBudget", "UpdateNotification", "UpdateSubscriber",
)  # fmt: skip
_REPOSITORIES = (
    "BatchGetImage", "BatchCheckLayerAvailability", "GetDownloadUrlForLayer", "DescribeImages", "ListImages",
    "DescribeRepositories", "GetRepositoryPolicy", "PutImage", "InitiateLayerUpload", "UploadLayerPart",
    "CompleteLayerUpload", "BatchDeleteImage", "GetLifecyclePolicy",
)  # fmt: skip

SPECIAL: dict[str, Callable[[Call], list[Ask]]] = {
    "cloudwatch:PutMetricData": _put_metric_data,
    "ssm:SendCommand": _send_command,
    "ssm:StartSession": _start_session,
    "ssm:UpdateInstanceInformation": _instance_information,
    # Of these AWS knows no resources, whatever ids they name.
    "ssm:GetCommandInvocation": _everything,
    "ssm:ListCommandInvocations": _everything,
    "ssm:ListCommands": _everything,
    "ssm:CancelCommand": _everything,
    **{
        f"ssm:{name}": _parameters
        for name in ("GetParameter", "GetParameters", "GetParametersByPath", "PutParameter")
    },
    **{f"application-autoscaling:{name}": _scaling for name in _SCALING},
    **{f"cloudformation:{name}": _stack for name in _STACKS},
    **{f"cloudwatch:{name}": _alarms for name in _ALARMS},
    **{f"cloudwatch:{name}": _dashboards for name in ("PutDashboard", "GetDashboard", "DeleteDashboards")},
    **{f"budgets:{name}": _budgets for name in _BUDGETS},
    **{f"sns:{name}": _topic for name in _TOPICS},
    **{f"sqs:{name}": _queue for name in _QUEUES},
    **{f"ecr:{name}": _repositories for name in _REPOSITORIES},
}
