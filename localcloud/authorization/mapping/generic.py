"""The rule: an operation is the action of its name, on the resources that its parameters name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from localcloud.authorization import reference
from localcloud.authorization.asks import Ask
from localcloud.authorization.calls import Call

_ROLE = re.compile(r"arn:aws:iam::\d{12}:role/.+")
# Where a parameter has another name than the place in the ARN.
_NAMES = {
    "alarmname": ("alarmname", "alarmnames"),
    "budgetname": ("budgetname",),
    "detectorid": ("anomalydetectorarn",),
    "instanceid": ("instanceid", "instance", "resourceid"),
    "parameternamewithoutleadingslash": ("name", "names"),
    "queuename": ("queuename", "queueurl"),
    "repositoryname": ("repositoryname",),
    "rulename": ("rulename", "rule", "name"),
    "schedulename": ("schedulename", "name"),
    "stackname": ("stackname",),
    "tablename": ("tablename",),
    "topicname": ("topicname", "name"),
}
_ARN_PARAMETERS = (
    "resourcearn", "resource", "topicarn", "targetarn", "arn", "resourcearnlist", "rolearn", "secretid", "streamarn",
    "subscriptionarn", "resourceids", "resourceid",
)  # fmt: skip
_PASSED_TO = {
    "application-autoscaling": "application-autoscaling.amazonaws.com",
    "autoscaling": "autoscaling.amazonaws.com",
    "cloudformation": "cloudformation.amazonaws.com",
    "ec2": "ec2.amazonaws.com",
    "events": "events.amazonaws.com",
    "lambda": "lambda.amazonaws.com",
    "logs": "logs.amazonaws.com",
    "s3": "s3.amazonaws.com",
    "sagemaker": "sagemaker.amazonaws.com",
    "scheduler": "scheduler.amazonaws.com",
    "ssm": "ssm.amazonaws.com",
}


class Unmapped(Exception):
    """The cloud does not know what the operation takes."""


def asks(call: Call, name: str | None = None, more: Mapping[str, list[str]] | None = None) -> list[Ask]:
    """`name`: the action's where it is not the operation's; `more`: context keys of the service."""
    known = reference.action(call.prefix, name or call.operation)
    if known is None:
        raise Unmapped(f"{call.prefix}:{name or call.operation}")
    context = {**tag_keys(call.params), **(more or {})}
    action = f"{call.prefix}:{known.name}"
    found = [Ask(action, resource, context) for resource in resources(call, known)]
    return found + tagging(call, known, context, found) + passed_roles(call)


def resources(call: Call, known: reference.Action) -> list[str]:
    """ARNs; where a required one has no name yet, a pattern stands for all of its kind, as on AWS."""
    if not known.types:
        return ["*"]
    found, missing = [], []
    for kind, required in known.types:
        arns, complete = _named(call, kind)
        if complete:
            found += arns
        elif required:
            missing += arns
    named = [] if found else _given_arns(call)
    chosen = list(dict.fromkeys(found + named + ([] if named else missing)))
    return chosen or ["*"]


def _named(call: Call, kind: str) -> tuple[list[str], bool]:
    arn, places = reference.template(call.prefix, kind)
    fixed = {"Region": call.region, "Account": call.account}
    if not places:
        return [reference.fill(arn, fixed)], True
    known: dict[str, str] = {}
    several: list[str] = []
    for place in places:
        values = values_of(call, place)
        if values and len(places) == 1:
            several = values
        elif values:
            known[place] = values[0]
    if several:
        pattern = reference.fill(arn, fixed | {places[0]: "\0"})
        whole = [one if one.startswith("arn:") else pattern.replace("\0", one) for one in several]
        return whole, True
    return [reference.fill(arn, fixed | known)], len(known) == len(places)


def values_of(call: Call, place: str) -> list[str]:
    key = place.lower()
    for name in _NAMES.get(key, (key,)):
        values = call.flat.get(name)
        if values:
            return values
    return ["default"] if (call.prefix, place) == ("scheduler", "GroupName") else []


def _given_arns(call: Call) -> list[str]:
    for name in _ARN_PARAMETERS:
        arns = [one for one in call.flat.get(name, []) if one.startswith("arn:") and not _ROLE.fullmatch(one)]
        if arns:
            return arns
    return []


def tag_keys(params: Mapping[str, Any]) -> dict[str, list[str]]:
    """aws:RequestTag/… and aws:TagKeys of the tags that are given, in each service's form."""
    tags = dict(_tags(params))
    keys = [key for key, _ in tags.items()]
    for name in ("TagKeys", "tagKeys"):
        keys += [one for one in params.get(name) or [] if isinstance(one, str)]
    if not keys:
        return {}
    context = {f"aws:requesttag/{key.lower()}": [value] for key, value in tags.items()}
    return {**context, "aws:tagkeys": keys}


def _tags(params: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name in ("Tags", "tags", "TagList", "Tagging", "TagSpecifications", "ResourceTags", "TagSet", "Tag"):
        given = params.get(name)
        if isinstance(given, Mapping):
            if "TagSet" in given:
                yield from _tags(given)
            else:
                yield from ((str(key), str(value)) for key, value in given.items())
        elif isinstance(given, list):
            for one in given:
                if not isinstance(one, Mapping):
                    continue
                if "Tags" in one:
                    yield from _tags(one)
                key = one.get("Key") or one.get("TagKey") or one.get("key")
                if key is not None:
                    yield str(key), str(one.get("Value") or one.get("TagValue") or one.get("value") or "")


def tagging(
    call: Call, known: reference.Action, context: Mapping[str, list[str]], found: list[Ask]
) -> list[Ask]:
    """Tags that are given with a creation take the right to tag."""
    name = next(
        (one for one in known.needs if one.rpartition(":")[2] in ("AddTags", "TagResource")),
        _TAGGING.get(call.prefix),
    )
    creates = known.name.startswith(("Create", "Register", "Put"))
    if name is None or name.endswith(f":{known.name}") or not creates or not any(_tags(call.params)):
        return []
    return [Ask(name, one.resource, context) for one in found[:1]]


_TAGGING = {"ecr": "ecr:TagResource", "lambda": "lambda:TagResource", "logs": "logs:TagResource",
            "kms": "kms:TagResource", "sns": "sns:TagResource", "sqs": "sqs:TagQueue"}  # fmt: skip


def passed_roles(call: Call) -> list[Ask]:
    """iam:PassRole on each role that is given to a service."""
    service = _PASSED_TO.get(call.prefix)
    if service is None or call.operation.startswith(("Describe", "List", "Get", "Delete", "Search")):
        return []
    if call.operation == "CreateFlowLogs":
        service = "vpc-flow-logs.amazonaws.com"
    found = {one for values in call.flat.values() for one in values if _ROLE.fullmatch(one)}
    context = {"iam:passedtoservice": [service]}
    return [Ask("iam:PassRole", role, context) for role in sorted(found)]
