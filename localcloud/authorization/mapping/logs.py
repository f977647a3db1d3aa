"""CloudWatch Logs: actions on a group are on its ARN with an empty stream, as AWS's refusals say it."""

from __future__ import annotations

from localcloud.authorization import reference
from localcloud.authorization.asks import Ask
from localcloud.authorization.calls import Call
from localcloud.authorization.mapping import generic

_ON_THE_GROUP = ("TagResource", "UntagResource", "ListTagsForResource")  # its ARN as it is
_ON_A_STREAM = ("CreateLogStream", "DeleteLogStream", "PutLogEvents", "GetLogEvents")


def asks(call: Call) -> list[Ask]:
    known = reference.action("logs", call.operation)
    if known is None:
        raise generic.Unmapped(f"logs:{call.operation}")
    context = generic.tag_keys(call.params)
    action = f"logs:{call.operation}"
    if call.operation in _ON_THE_GROUP:
        return [Ask(action, str(call.params.get("resourceArn") or "*"), context)]
    base = f"arn:aws:logs:{call.region}:{call.account}"
    if call.operation == "DescribeLogGroups":
        return [Ask(action, f"{base}:log-group::log-stream:", context)]
    groups = call.flat.get("loggroupname") or call.flat.get("loggroupidentifier") or []
    stream = str(call.params.get("logStreamName") or "") if call.operation in _ON_A_STREAM else ""
    found = [Ask(action, f"{_group(base, one)}:log-stream:{stream}", context) for one in groups]
    if not found:
        return generic.asks(call)
    if call.operation == "CreateLogGroup" and call.params.get("tags"):
        found.append(Ask("logs:TagResource", _group(base, groups[0]), context))
    return found + generic.passed_roles(call)


def _group(base: str, name: str) -> str:
    return name.removesuffix(":*") if name.startswith("arn:") else f"{base}:log-group:{name}"
