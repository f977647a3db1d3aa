"""Lambda: functions by name, ARN or part of one, with or without a version."""

from __future__ import annotations

from dataclasses import replace

from localcloud.authorization import reference
from localcloud.authorization.asks import Ask
from localcloud.authorization.calls import Call
from localcloud.authorization.mapping import generic

_ACTIONS = {
    "Invoke": "InvokeFunction",
    "InvokeWithResponseStream": "InvokeFunction",
    "GetLayerVersionByArn": "GetLayerVersion",
}


def asks(call: Call) -> list[Ask]:
    name = _ACTIONS.get(call.operation, call.operation)
    known = reference.action("lambda", name)
    if known is None:
        raise generic.Unmapped(f"lambda:{name}")
    context = generic.tag_keys(call.params)
    function = call.params.get("FunctionName")
    if not function:
        found = generic.asks(call, name)
        return [replace(one, context={**one.context, **context}) for one in found]
    # What is configured for a version or alias alone, and calls of one, are on its own ARN.
    qualified = name == "InvokeFunction" or "function" not in dict(known.types)
    resource = arn(str(function), call.params.get("Qualifier") if qualified else None, call, qualified)
    for parameter, key in (
        ("Principal", "lambda:principal"),
        ("FunctionUrlAuthType", "lambda:functionurlauthtype"),
    ):
        if call.params.get(parameter):
            context[key] = [str(call.params[parameter])]
    if call.params.get("AuthType"):
        context["lambda:functionurlauthtype"] = [str(call.params["AuthType"])]
    vpc = call.params.get("VpcConfig") or {}
    for parameter, key in (
        ("SubnetIds", "lambda:subnetids"),
        ("SecurityGroupIds", "lambda:securitygroupids"),
    ):
        if vpc.get(parameter):
            context[key] = list(vpc[parameter])
    found = [Ask(f"lambda:{name}", resource, context)]
    return found + generic.tagging(call, known, context, found) + generic.passed_roles(call)


def arn(function: str, qualifier: str | None, call: Call, qualified: bool) -> str:
    """Of the function; with its version or alias where it is for one."""
    account, region = call.account, call.region
    if function.startswith("arn:"):
        region, account = function.split(":")[3:5]
        name = function.split(":function:", 1)[-1]
    else:
        name = function.rpartition("function:")[2]
        if function.count(":function:") and function.partition(":")[0].isdigit():
            account = function.partition(":")[0]
    if qualifier and ":" not in name:
        name = f"{name}:{qualifier}"
    if not qualified:
        name = name.partition(":")[0]
    return f"arn:aws:lambda:{region}:{account}:function:{name}"
