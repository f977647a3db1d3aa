from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from localcloud import control
from localcloud.control import CloudInfo
from tests.localcloud.endpoints import put_model


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ "fake" runs the model server that the model archive brings along in code/fakeserver.py."""
    path = tmp_path_factory.mktemp("images") / "images.json"
    path.write_text(
        json.dumps({"fake": {"serve": [sys.executable, "-m", "fakeserver"], "env": {"MODEL": "{model_dir}"}}})
    )
    return path


@pytest.fixture(scope="session")
def cloud(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudInfo]:
    state_dir = tmp_path_factory.mktemp("cloud")
    yield control.start(state_dir, images=images, lifetime=1200)
    control.stop(state_dir)


@pytest.fixture(scope="session")
def fast_cloud(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudInfo]:
    """One whose minute of scaling and alarms lasts a second, with six instances for endpoints."""
    state_dir = tmp_path_factory.mktemp("fast")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCALCLOUD_SCALING_SPEED", "60")
        patch.setenv("LOCALCLOUD_ENDPOINT_INSTANCES", "6")
        info = control.start(state_dir, images=images, lifetime=1200)
    yield info
    control.stop(state_dir)


@pytest.fixture(scope="session")
def fast(fast_cloud: CloudInfo, connect: Callable[[CloudInfo], Callable[[str], Any]]) -> Callable[[str], Any]:
    client = connect(fast_cloud)
    put_model(client("s3"))
    return client


@pytest.fixture(scope="session")
def client(cloud: CloudInfo, connect: Callable[[CloudInfo], Callable[[str], Any]]) -> Callable[[str], Any]:
    """A boto3 client for a service of the session's cloud."""
    return connect(cloud)


@pytest.fixture(scope="session")
def connect() -> Callable[[CloudInfo], Callable[[str], Any]]:
    return _clients


def _clients(cloud: CloudInfo) -> Callable[[str], Any]:
    known: dict[str, Any] = {}

    def get(service: str) -> Any:
        if service not in known:
            known[service] = boto3.client(
                service,
                endpoint_url=cloud.endpoint_url,
                region_name=cloud.region,
                aws_access_key_id="any",
                aws_secret_access_key="any",
                config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
            )
        return known[service]

    return get
