"""boto3 clients of an embedded cloud."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

from localcloud.control import CloudInfo


def clients(
    cloud: CloudInfo,
    *,
    key: str = "local",
    secret: str = "local",
    token: str | None = None,
    url: str | None = None,
    **options: Any,
) -> Callable[[str], Any]:
    """Return what gives a client for a service, always the same one, which asks once and not again.

    `options` are those of `botocore.config.Config`.
    """
    config = Config(**{"retries": {"total_max_attempts": 1}, **options})

    @functools.cache
    def client(service: str) -> Any:
        return boto3.client(
            service, endpoint_url=url or cloud.endpoint_url, region_name=cloud.region, config=config,
            aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token,
        )  # fmt: skip

    return client


def person(cloud: CloudInfo, root: Callable[[str], Any]) -> Callable[[str], Any]:
    """Clients of a new user who may take on every role that lets the account in, which root may not."""
    iam, name = root("iam"), f"person-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    right = {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [right]})
    iam.put_user_policy(UserName=name, PolicyName="roles", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return clients(cloud, key=key["AccessKeyId"], secret=key["SecretAccessKey"])
