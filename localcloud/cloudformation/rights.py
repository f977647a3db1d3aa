"""Stacks make what they hold in the name of whoever asked for them, or of the role that the stack was given."""

from __future__ import annotations

from localcloud.authorization import middleware
from localcloud.authorization.callers import Caller
from localcloud.authorization.calls import Call
from localcloud.authorization.services import assumed
from localcloud.cloudformation.resources import Resource

_SERVICE = "cloudformation.amazonaws.com"
_OPERATIONS = {"CREATE": "Create", "UPDATE": "Update", "DELETE": "Delete"}


def demand(verb: str, resource: Resource, role_arn: str | None) -> None:
    """Raises Denied."""
    caller = middleware.current.get()
    if role_arn:
        caller = Caller(assumed(role_arn, _SERVICE, "AWSCloudFormation"))
    if caller is None or (verb == "DELETE" and not resource.is_ours):
        return
    account, region = resource.where
    kind = resource.kind.rpartition(":")[2]
    call = Call("sagemaker", f"{_OPERATIONS[verb]}{kind}", resource.request, region, account)
    middleware.demand(caller, call, via=_SERVICE)
