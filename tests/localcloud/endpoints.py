"""Endpoints for tests, of a model server that answers what it was asked."""

from __future__ import annotations

import io
import itertools
import json
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/model"
IMAGE = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/fake:1"
ENDPOINTS = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint"
SERVER = """
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(int(os.environ.get("PING", "200")), b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b"die":
            os._exit(1)
        if body.startswith(b"status "):
            return self.answer(int(body[7:]), b"so be it")
        if body.startswith(b"sleep "):
            time.sleep(float(body[6:]))
        said = {"greeting": os.environ.get("GREETING"), "pid": os.getpid(), "body": body.decode("latin1"),
                "type": self.headers["Content-Type"], "accept": self.headers["Accept"],
                "weights": (Path(os.environ["MODEL"]) / "weights").read_text()}
        self.answer(200, json.dumps(said).encode(), Content_Type="application/json",
                    X_Amzn_SageMaker_Custom_Attributes="echo")

    def log_message(self, *_):
        pass

print("serving with", os.environ["SAGEMAKER_BASE_DIR"])
if "DIE" in os.environ:
    sys.exit("no model in here")
ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""

# For an images file: the image runs the server that the model archive brings along.
IMAGES = {"fake": {"serve": [sys.executable, "-m", "fakeserver"], "env": {"MODEL": "{model_dir}"}}}

numbers = itertools.count(1)


def archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def make_role(iam: Any, arn: str, service: str = "sagemaker.amazonaws.com", *actions: str) -> None:
    """A role that the service may take on and that may do these, or everything."""
    name = arn.rpartition("/")[2]
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    rights = {"Effect": "Allow", "Action": actions or "*", "Resource": "*"}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))
    iam.put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=_policy(rights))


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def put_model(client: Callable[[str], Any]) -> None:
    make_role(client("iam"), ROLE)
    s3 = client("s3")
    s3.create_bucket(Bucket="models")
    model = archive({"weights": b"w1", "code/fakeserver.py": SERVER.encode()})
    s3.put_object(Bucket="models", Key="model.tar.gz", Body=model)


class Deployer:
    """Makes models, configurations and endpoints with names of their own."""

    def __init__(self, sagemaker: Any) -> None:
        self.sagemaker = sagemaker
        self.endpoints: list[str] = []

    def model(self, *, key: str = "model.tar.gz", image: str = IMAGE, **environment: str) -> str:
        name = f"model-{next(numbers)}"
        container = {"Image": image, "ModelDataUrl": f"s3://models/{key}", "Environment": environment}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        return name

    def config(self, model: str, count: int = 1, **variant: Any) -> str:
        name = f"config-{next(numbers)}"
        main = {
            "VariantName": "main",
            "ModelName": model,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": count,
            **variant,
        }
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[main])
        return name

    def create(self, config: str) -> str:
        name = f"endpoint-{next(numbers)}"
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        self.endpoints.append(name)
        return name

    def up(self, count: int = 1, **environment: str) -> str:
        name = self.create(self.config(self.model(**environment), count))
        assert self.settled(name)["EndpointStatus"] == "InService"
        return name

    def describe(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)
        return answer

    def settled(self, name: str) -> dict[str, Any]:
        return self.until(name, lambda state: state["EndpointStatus"] in ("InService", "Failed"))

    def until(
        self, name: str, wanted: Callable[[dict[str, Any]], bool], seconds: float = 30
    ) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while not wanted(state := self.describe(name)):
            assert time.monotonic() < deadline, f"last seen: {state}"
            time.sleep(0.02)
        return state

    def delete(self, name: str) -> None:
        try:
            self.settled(name)
            self.sagemaker.delete_endpoint(EndpointName=name)
            self.until(name, lambda _: False)
        except ClientError as error:
            assert "Could not find endpoint" in str(error)  # noqa: PT017 - the end that is waited for


class Load:
    """Requests in so many threads, one after the other in each; every one must be answered."""

    def __init__(
        self, client: Callable[[str], Any], endpoint: str, body: bytes = b"x", threads: int = 1
    ) -> None:
        self.pids: set[int] = set()
        self.greetings: list[str] = []
        self._error: Exception | None = None
        self._enough = threading.Event()
        runtime = client("sagemaker-runtime")
        self._threads = [
            threading.Thread(target=self._run, args=(runtime, endpoint, body)) for _ in range(threads)
        ]

    def _run(self, runtime: Any, endpoint: str, body: bytes) -> None:
        while not self._enough.wait(0.02):
            try:
                answer = runtime.invoke_endpoint(EndpointName=endpoint, Body=body)
                said = json.loads(answer["Body"].read())
            except Exception as error:  # shown by the test that has the load
                self._error = error
                return
            self.pids.add(said["pid"])
            self.greetings.append(said["greeting"])

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()
        if self._error is not None:
            raise self._error
