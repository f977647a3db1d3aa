from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud import control
from localcloud.control import CloudInfo
from tests.clients import clients
from tests.localcloud.endpoints import IMAGES, Deployer, put_model


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "images.json"
    path.write_text(json.dumps(IMAGES))
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
    put_model(client)
    return client


@pytest.fixture
def deployer(fast: Callable[[str], Any]) -> Iterator[Deployer]:
    """Of endpoints in the fast cloud."""
    deployer = Deployer(fast("sagemaker"))
    yield deployer
    for name in deployer.endpoints:
        deployer.delete(name)


@pytest.fixture(scope="session")
def client(cloud: CloudInfo, connect: Callable[[CloudInfo], Callable[[str], Any]]) -> Callable[[str], Any]:
    """A boto3 client for a service of the session's cloud."""
    return connect(cloud)


@pytest.fixture(scope="session")
def bucket(client: Callable[[str], Any]) -> str:
    """The bucket with the model that a `Deployer` deploys, in the session's cloud."""
    put_model(client)
    return "models"


@pytest.fixture(scope="session")
def connect() -> Callable[[CloudInfo], Callable[[str], Any]]:
    return clients
