from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from PIL import Image

from localcloud import control
from ml.errors import KennelError
from ops.load import Asked, Loading, lines
from ops.load.options import Demand, steady
from ops.stage import cloud_variables
from tests.localcloud.endpoints import IMAGES, Deployer, put_model

pytestmark = pytest.mark.cloud


class Deployed:
    """A stage on an embedded cloud with an endpoint in it."""

    name = "local"

    def __init__(self, cloud: control.CloudInfo, directory: Path) -> None:
        self.directory = directory
        self.variables = cloud_variables(cloud)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.environment |= self.variables
        put_model(self.client)
        self.endpoint = Deployer(self.client("sagemaker")).up()

    def client(self, service: str) -> Any:
        return boto3.client(
            service, endpoint_url=self.variables["AWS_ENDPOINT_URL"], region_name=self.variables["AWS_REGION"],
            aws_access_key_id="local", aws_secret_access_key="local",
        )  # type: ignore[call-overload]  # fmt: skip

    @property
    def outputs(self) -> dict[str, Any]:
        return {"endpoint_name": self.endpoint, "autoscaling": {"max": 4}}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("load")
    images = folder / "images.json"
    images.write_text(json.dumps(IMAGES))
    cloud = control.start(folder / "cloud", images=images, lifetime=600)
    try:
        yield Deployed(cloud, folder)
    finally:
        control.stop(folder / "cloud")


@pytest.fixture
def loading(deployed: Deployed, tmp_path: Path) -> Loading:
    Image.new("RGB", (32, 24), "red").save(tmp_path / "red.jpg")
    stage: Any = deployed
    return Loading.prepare(stage, deployed.outputs, "endpoint", str(tmp_path / "red.jpg"))


def test_a_load_on_the_embedded_cloud_is_answered_and_reported(
    loading: Loading, deployed: Deployed, tmp_path: Path
) -> None:
    assert (loading.instances.count, loading.instances.most, loading.instances.type) == (1, 4, "ml.m5.large")
    result = loading.run(steady(20, 1, "constant"))
    assert dict(result.faults) == {}
    assert len(result.good) == 20
    assert (result.before, result.after) == (loading.instances, loading.instances)
    assert any("share this machine's processors" in note for note in result.notes)
    asked = Asked.of(
        {"rate": "20", "users": None, "traffic": None}, "1", "endpoint", "constant", 0,
        capacity=False, p99=None, save_traffic=str(tmp_path / "t.csv"), output=None,
    )  # fmt: skip
    report = loading.write(result, asked)
    assert report.parent == deployed.directory / "load"
    assert "<h1>Load on " in report.read_text()
    assert (tmp_path / "t.csv").read_text() == "seconds,requests_per_second\n0,20\n1,0\n"
    assert all(len(line) <= 80 for line in lines(result))


def test_users_who_ask_in_turn_are_answered(loading: Loading) -> None:
    result = loading.run(Demand(1, users=2))
    assert result.good
    assert not result.faults


def test_an_endpoint_that_is_gone_is_an_error_before_anything_is_sent(
    deployed: Deployed, tmp_path: Path
) -> None:
    Image.new("RGB", (32, 24), "red").save(tmp_path / "red.jpg")
    stage: Any = deployed
    with pytest.raises(KennelError, match="A load needs a deployed endpoint"):
        Loading.prepare(stage, {"endpoint_name": None}, "endpoint", str(tmp_path / "red.jpg"))
    with pytest.raises(KennelError, match="A load needs a deployed function"):
        Loading.prepare(stage, deployed.outputs, "lambda", str(tmp_path / "red.jpg"))
