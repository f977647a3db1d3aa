"""The permissions boundary: whether it exists, and lets the stage's roles do what their policies say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from ops import status
from ops.declared import value_of
from ops.doctor.finding import Finding
from ops.live import is_gone
from ops.stage import Stage

SHOWN = 3  # of the actions that it refuses


def boundary(stage: Stage) -> Iterator[Finding]:
    arn = value_of("permissions_boundary_arn", stage.variables_file)
    if not arn:
        return
    iam = stage.client("iam")
    try:
        iam.get_policy(PolicyArn=arn)
    except ClientError as error:
        if not is_gone(error):
            raise
        remedy = (
            f"Mind the spelling in {stage.variables_file.name}, or have whoever bounds the account make it."
        )
        yield Finding("boundary", "error", f"{arn}: there is no such policy", remedy)
        return
    roles = status.last_apply(stage)[0].get("roles") or {}
    if not roles:
        yield Finding("boundary", "ok", f"{arn}; what it lets the roles do is asked when there are some")
    for actor, role in sorted(roles.items()):
        carried = iam.get_role(RoleName=role["name"])["Role"].get("PermissionsBoundary", {})
        if carried.get("PermissionsBoundaryArn") != arn:
            text = f"the role of {actor} does not carry it: what it would let it do is not known"
            yield Finding("boundary", "warning", text, "./inv apply puts it on the role; then ask again.")
            continue
        refused = sorted(set(_refused(iam, role["name"], role["arn"])))
        if refused:
            more = f" and {len(refused) - SHOWN} more" if len(refused) > SHOWN else ""
            text = f"keeps the role of {actor} from {', '.join(refused[:SHOWN])}{more}"
            remedy = f"Have {arn.rpartition('/')[2]} allow it, or name another boundary."
            yield Finding("boundary", "error", text, remedy)
        else:
            yield Finding("boundary", "ok", f"lets the role of {actor} do what its policies say")


def _refused(iam: Any, role: str, arn: str) -> Iterator[str]:
    """The actions that the role's own policies allow somewhere, and the boundary does not."""
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for statement in _many(document["Statement"]):
            if statement["Effect"] != "Allow" or "Action" not in statement:
                continue
            actions = [action for action in _many(statement["Action"]) if "*" not in action]
            resource = _many(statement.get("Resource", "*"))[0]
            example = resource if resource == "*" else resource.replace("*", "x")  # IAM takes an ARN or *
            if actions:
                answer = iam.simulate_principal_policy(
                    PolicySourceArn=arn, ActionNames=actions, ResourceArns=[example]
                )
                for result in answer["EvaluationResults"]:
                    detail = result.get("PermissionsBoundaryDecisionDetail") or {}
                    if detail.get("AllowedByPermissionsBoundary") is False:
                        yield result["EvalActionName"]


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
