"""boto3 clients of an embedded cloud."""

from __future__ import annotations

import functools
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
