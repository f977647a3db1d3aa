"""Statements that are taken out of live policies, one at a time, and put back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.rights.world import PHOTOS, PREFIX, World

Policy = dict[str, Any]


@dataclass(frozen=True)
class Document:
    """A policy that is in force."""

    name: str  # as the report has it
    label: str  # as the record of decisions has it, before the statement's own
    read: Callable[[World], Policy]
    write: Callable[[World, Policy], object]

    def statements(self, world: World) -> dict[str, dict[str, Any]]:
        return {one["Sid"]: one for one in self.read(world)["Statement"] if "Sid" in one}

    @contextmanager
    def without(self, world: World, sid: str) -> Iterator[None]:
        whole = self.read(world)
        left = [one for one in whole["Statement"] if one.get("Sid") != sid]
        assert len(left) == len(whole["Statement"]) - 1, sid
        self.write(world, {**whole, "Statement": left})
        try:
            yield
        finally:
            self.write(world, whole)

    @contextmanager
    def with_more(self, world: World, statement: dict[str, Any]) -> Iterator[None]:
        """The statement beside the policy's own, for as long as the block lasts."""
        whole = self.read(world)
        self.write(world, {**whole, "Statement": [*whole["Statement"], statement]})
        try:
            yield
        finally:
            self.write(world, whole)


def of_role(actor: str, policy: str | None = None) -> Document:
    role = f"{PREFIX}-{actor.replace('_', '-')}"
    name = policy or actor

    def read(world: World) -> Policy:
        answer = world.client("iam").get_role_policy(RoleName=role, PolicyName=name)
        return dict(answer["PolicyDocument"])

    def write(world: World, document: Policy) -> None:
        world.client("iam").put_role_policy(
            RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document)
        )

    return Document(role, name, read, write)


def _put_bucket_policy(world: World, document: Policy) -> None:
    world.theirs("s3").put_bucket_policy(Bucket=PHOTOS, Policy=json.dumps(document))


def _put_key_policy(world: World, document: Policy) -> None:
    world.theirs("kms").put_key_policy(KeyId=world.key_id, PolicyName="default", Policy=json.dumps(document))


def _endpoint(world: World) -> dict[str, Any]:
    filters = [{"Name": "vpc-id", "Values": [world.outputs["vpc_id"]]}]
    found = world.client("ec2").describe_vpc_endpoints(Filters=filters)["VpcEndpoints"]
    return next(one for one in found if one["VpcEndpointType"] == "Gateway")


def _put_endpoint_policy(world: World, document: Policy) -> None:
    world.client("ec2").modify_vpc_endpoint(
        VpcEndpointId=_endpoint(world)["VpcEndpointId"], PolicyDocument=json.dumps(document)
    )


THEIR_BUCKET = Document(
    "data_bucket_policy",
    f"policy of s3 {PHOTOS}",
    lambda world: json.loads(world.theirs("s3").get_bucket_policy(Bucket=PHOTOS)["Policy"]),
    _put_bucket_policy,
)
THEIR_KEY = Document(
    "data_key_policy",
    "policy of kms key/",
    lambda world: json.loads(
        world.theirs("kms").get_key_policy(KeyId=world.key_id, PolicyName="default")["Policy"]
    ),
    _put_key_policy,
)
GATEWAY = Document(
    "gateway endpoint's policy",
    "policy of vpce-",
    lambda world: json.loads(_endpoint(world)["PolicyDocument"]),
    _put_endpoint_policy,
)
