"""Who asks: root, users, role sessions, services, and everybody else."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from localcloud.authorization.network import Source
from localcloud.policies import Who

Kind = Literal["root", "user", "role", "federated", "service", "anonymous"]


@dataclass(frozen=True)
class Session:
    """What STS gave out, by its access key."""

    access_key: str
    secret: str
    token: str
    principal: Principal
    expires: float  # s since 1970
    issued: float
    policies: tuple[str, ...] = ()  # documents that narrow it
    tags: dict[str, str] = field(default_factory=dict)
    source: Source | None = None
    identity_provider: str = ""  # the ARN of the OIDC provider that vouched for it


@dataclass(frozen=True)
class Principal:
    kind: Kind
    account: str
    arn: str  # as refusals name it
    user_id: str = ""
    identity: str = ""  # ARN of the role or user whose policies count
    name: str = ""  # of the role or user
    session_name: str = ""

    @cached_property
    def who(self) -> Who:
        if self.kind == "anonymous":
            return Who()
        if self.kind == "service":
            return Who(service=self.name)
        if self.kind == "federated":
            return Who(federated=self.arn)
        return Who(tuple({self.arn, self.identity or self.arn}), self.account)

    @property
    def is_root(self) -> bool:
        return self.kind == "root"


ANONYMOUS = Principal("anonymous", "anonymous", "anonymous", "anonymous")


def root(account: str) -> Principal:
    arn = f"arn:aws:iam::{account}:root"
    return Principal("root", account, arn, account, arn, "root")


def user(account: str, arn: str, name: str, user_id: str) -> Principal:
    return Principal("user", account, arn, user_id, arn, name)


def role_session(role_arn: str, role_id: str, session_name: str) -> Principal:
    account, name = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    arn = f"arn:aws:sts::{account}:assumed-role/{name}/{session_name}"
    return Principal("role", account, arn, f"{role_id}:{session_name}", role_arn, name, session_name)


def service(name: str) -> Principal:
    return Principal("service", "", name, name, "", name)
