"""Faults in AWS's words: status, code and message, by kind and service."""

from __future__ import annotations

import re
from dataclasses import dataclass

from localcloud import operations
from localcloud.config import ACCOUNT_ID
from localcloud.faults.rules import Rule
from localcloud.operations import Call

_TYPE = re.compile(rb'"InstanceType": ?"(ml\.[^"]+)"|InstanceType=([a-z0-9.]+)')


@dataclass(frozen=True)
class Refusal:
    status: int
    code: str
    message: str


_THROTTLED = {
    "s3": Refusal(503, "SlowDown", "Please reduce your request rate."),
    "ec2": Refusal(503, "RequestLimitExceeded", "Request limit exceeded."),
    "lambda": Refusal(429, "TooManyRequestsException", "Rate Exceeded."),
}
_FAILED = {
    "s3": Refusal(500, "InternalError", "We encountered an internal error. Please try again."),
    "ec2": Refusal(500, "InternalError", "An internal error has occurred"),
    "lambda": Refusal(500, "ServiceException", "An error occurred and the request cannot be processed."),
    "iam": Refusal(
        500, "ServiceFailure", "The request processing has failed because of an unknown error or exception."
    ),
}
_FAILURE = Refusal(
    500,
    "InternalFailure",
    "The request processing has failed because of an unknown error, exception or failure.",
)
_UNAVAILABLE = {
    "s3": Refusal(503, "ServiceUnavailable", "Service is unable to handle request."),
    "ec2": Refusal(503, "Unavailable", "The service is unavailable. Please try again shortly."),
}
_UNAVAILABILITY = Refusal(
    503, "ServiceUnavailable", "The request has failed due to a temporary failure of the server."
)


def refusal(rule: Rule, call: Call) -> Refusal | None:
    """None for what is no answer in words, and for capacity that lacks only later, when instances are to start."""
    if rule.kind == "throttle":
        return _THROTTLED.get(call.service) or _throttled(call)
    if rule.kind == "error" and rule.error_code == "ServiceUnavailable":
        return _UNAVAILABLE.get(call.service, _UNAVAILABILITY)
    if rule.kind == "error":
        return _FAILED.get(call.service, _FAILURE)
    if rule.kind == "denied":
        return denied(call)
    if rule.kind == "capacity" and rule.error_code == "ResourceLimitExceeded":
        return _limit(call)
    if rule.kind == "capacity" and call.service == "ec2":
        return Refusal(
            500,
            "InsufficientInstanceCapacity",
            f"We currently do not have sufficient {_instance_type(call)} capacity in the Availability Zone you "
            "requested. Our system will be working on provisioning additional capacity.",
        )
    return None


def denied(call: Call) -> Refusal:
    model = operations.service_model(call.service)
    prefix = str(model.signing_name or model.endpoint_prefix) if model else call.service
    prefix = {"monitoring": "cloudwatch"}.get(prefix, prefix)
    action = f"{prefix}:{call.operation}"
    message = (
        f"User: arn:aws:iam::{ACCOUNT_ID}:root is not authorized to perform: {action} because no identity-based "
        f"policy allows the {action} action"
    )
    if call.service == "ec2":
        return Refusal(
            403, "UnauthorizedOperation", f"You are not authorized to perform this operation. {message}"
        )
    if _protocol(call) in ("query", "rest-xml"):
        return Refusal(403, "AccessDenied", message)
    return Refusal(403 if _protocol(call) == "rest-json" else 400, "AccessDeniedException", message)


def _throttled(call: Call) -> Refusal:
    is_query = _protocol(call) == "query" or call.service == "cloudwatch"
    return Refusal(400, "Throttling" if is_query else "ThrottlingException", "Rate exceeded")


def _limit(call: Call) -> Refusal:
    kind = _instance_type(call)
    if call.service == "ec2":
        return Refusal(
            400,
            "VcpuLimitExceeded",
            "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance bucket "
            f"that the specified instance type {kind} belongs to. Please visit http://aws.amazon.com/contact-us/"
            "ec2-request to request an adjustment to this limit.",
        )
    use = "training job" if "TrainingJob" in call.operation or "Tuning" in call.operation else "endpoint"
    use = "transform job" if "Transform" in call.operation else use
    return Refusal(
        400,
        "ResourceLimitExceeded",
        f"The account-level service limit '{kind} for {use} usage' is 0 Instances, with current utilization of 0 "
        "Instances and a request delta of 1 Instances. Please use AWS Service Quotas to request an increase for this "
        "quota. If AWS Service Quotas is not available, contact AWS support to request an increase for this quota.",
    )


def _instance_type(call: Call) -> str:
    found = _TYPE.search(call.body)
    return (found[1] or found[2]).decode() if found else "instance"


def _protocol(call: Call) -> str:
    model = operations.service_model(call.service)
    return str(model.metadata["protocol"]) if model else ""
