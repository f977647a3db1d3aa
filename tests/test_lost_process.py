"""A server process is killed while the function is asked without a pause: its callers see nothing of it."""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud import control
from localcloud.control import CloudInfo
from ml import artifact
from ops import lambda_package
from ops.paths import LAMBDA_SOURCE
from tests.callers import Callers
from tests.clients import clients
from tests.localcloud.endpoints import make_role
from tests.ml.serving.conftest import write_run
from tests.ml.serving.samples import encode, photo
from tests.waiting import wait_for

pytestmark = [pytest.mark.long, pytest.mark.cloud]

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/serving:1"
ROLE = "arn:aws:iam::123456789012:role/any"
CLIENTS = 2
DEADLINE = 120  # seconds for a process to come on a loaded machine


def processes(module: str, base: Path) -> set[int]:
    """Return the processes that run a module of the server for an instance below this directory."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if module.encode() in command and str(base).encode() in environment:
            found.add(int(entry.name))
    return found


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudInfo]:
    state = tmp_path_factory.mktemp("cloud")
    images = state.with_name("images.json")
    serve = [sys.executable, "-m", "serving"]
    images.write_text(json.dumps({"serving": {"serve": serve, "env": {"KENNEL_HOST": "127.0.0.1"}}}))
    yield control.start(state, images=images, lifetime=1200)
    control.stop(state)


@pytest.fixture(scope="module")
def client(cloud: CloudInfo) -> Callable[[str], Any]:
    return clients(cloud)


@pytest.fixture(scope="module")
def deployed(client: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    """One instance of a tiny model, and the project's own function in front of it."""
    work = tmp_path_factory.mktemp("model")
    write_run(work / "run")
    archive, _ = artifact.build(work / "run")
    make_role(client("iam"), ROLE)
    client("s3").create_bucket(Bucket="models")
    client("s3").upload_file(str(archive), "models", "model.tar.gz")
    sagemaker = client("sagemaker")
    sagemaker.create_model(
        ModelName="m", ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": "s3://models/model.tar.gz"},
    )  # fmt: skip
    variant = {
        "VariantName": "primary",
        "ModelName": "m",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="dogs", EndpointConfigName="c")
    wait_for(
        lambda: sagemaker.describe_endpoint(EndpointName="dogs")["EndpointStatus"] == "InService",
        "the endpoint is in service",
        DEADLINE,
    )
    lambda_package.build(LAMBDA_SOURCE, work / "lambda.zip")
    role = "arn:aws:iam::123456789012:role/function"
    make_role(client("iam"), role, "lambda.amazonaws.com")
    client("lambda").create_function(
        FunctionName="classify", Role=role, Runtime="python3.12", Handler="handler.lambda_handler", Timeout=60,
        MemorySize=512, Code={"ZipFile": (work / "lambda.zip").read_bytes()},
        Environment={"Variables": {"ENDPOINT_NAME": "dogs", "STAGE": "local"}},
    )  # fmt: skip


def see_answers(callers: Callers, number: int = 10) -> None:
    wanted = callers.answered + number
    wait_for(lambda: callers.answered >= wanted or bool(callers.errors), "the callers get answers", DEADLINE)


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
@pytest.mark.parametrize("module", ["serving.worker", "serving"])
@pytest.mark.usefixtures("deployed")
def test_callers_see_nothing_of_a_server_process_that_is_killed(
    module: str, client: Callable[[str], Any], cloud: CloudInfo
) -> None:
    base = Path(cloud.log_file).parent / "endpoints"
    function, event = client("lambda"), json.dumps({"image": base64.b64encode(encode(photo())).decode()})

    def ask() -> None:
        answer = function.invoke(FunctionName="classify", Payload=event)
        body = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, body
        assert "error" not in body, body

    with Callers(ask, CLIENTS) as callers:
        see_answers(callers)
        before = processes(module, base)
        assert len(before) == 1
        os.kill(before.pop(), signal.SIGKILL)
        see_answers(callers)
        wait_for(lambda: len(processes(module, base)) == 1, "it is replaced", DEADLINE)
    assert callers.errors == []
