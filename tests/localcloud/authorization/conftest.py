from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from localcloud.control import CloudInfo
from tests.clients import clients, person

ACCOUNT, OTHER = "123456789012", "210987654321"

Client = Callable[[str], Any]
AsRole = Callable[..., Client]


def allow(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {**allow(action, resource, **more), "Effect": "Deny"}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(principal: Any, action: str | list[str] = "sts:AssumeRole", **more: Any) -> str:
    return document({"Effect": "Allow", "Principal": principal, "Action": action, **more})


@pytest.fixture(scope="session")
def other(cloud: CloudInfo) -> Client:
    """Root of a second account."""
    return clients(cloud, key=f"local-{OTHER}")


@pytest.fixture(scope="session")
def as_role(cloud: CloudInfo, client: Client) -> AsRole:
    """Clients of a role that may do this much; `boundary` and `session` are statements, too."""
    numbers = itertools.count()
    tester = person(cloud, client)

    def connect(
        *statements: dict[str, Any],
        boundary: list[dict[str, Any]] | None = None,
        session: list[dict[str, Any]] | None = None,
        **more: Any,
    ) -> Client:
        name = f"actor-{next(numbers)}"
        iam = client("iam")
        if boundary is not None:
            made = iam.create_policy(PolicyName=f"{name}-boundary", PolicyDocument=document(*boundary))
            more["PermissionsBoundary"] = made["Policy"]["Arn"]
        root = f"arn:aws:iam::{ACCOUNT}:root"
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust({"AWS": root}), **more)["Role"][
            "Arn"
        ]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=document(*statements))
        narrowed = {"Policy": document(*session)} if session is not None else {}
        made = connected(cloud, tester("sts").assume_role(RoleArn=arn, RoleSessionName="tester", **narrowed))
        _names[made] = name
        return made

    return connect


_names: dict[Client, str] = {}  # of the roles behind clients


def grant(client: Client, actor: Client, *statements: dict[str, Any]) -> None:
    """These rights instead of those that the role has."""
    client("iam").put_role_policy(
        RoleName=_names[actor], PolicyName="rights", PolicyDocument=document(*statements)
    )


def connected(cloud: CloudInfo, answer: dict[str, Any]) -> Client:
    """Clients with the credentials that STS gave."""
    keys = answer["Credentials"]
    return clients(cloud, key=keys["AccessKeyId"], secret=keys["SecretAccessKey"], token=keys["SessionToken"])
