"""A cloud with short delays and small limits, and functions made of a few lines."""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from localcloud import control
from localcloud.control import CloudInfo

SETTINGS = {
    "LOCALCLOUD_LAMBDA_RETRY_DELAYS": "0.05,0.1",
    "LOCALCLOUD_LAMBDA_THROTTLE_DELAY": "0.05",
    "LOCALCLOUD_LAMBDA_MAX_SANDBOXES": "8",
    "LOCALCLOUD_LAMBDA_MAX_WARM_SANDBOXES": "3",
    "UNRELATED_SECRET": "of the parent",
}


TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@dataclass(frozen=True)
class Answer:
    value: Any
    error: str | None
    log: list[str]
    raw: dict[str, Any]


class Aws:
    """boto3 without retries, and shorthands for what the tests do all the time."""

    def __init__(self, info: CloudInfo) -> None:
        self.info = info
        self._clients: dict[str, Any] = {}
        self._numbers = itertools.count()
        self.made: list[str] = []
        iam = self.client("iam")
        role = iam.create_role(RoleName="functions", AssumeRolePolicyDocument=policy(TRUST))
        iam.put_role_policy(RoleName="functions", PolicyName="all", PolicyDocument=policy(ALL))
        self.role = role["Role"]["Arn"]

    def client(self, service: str) -> Any:
        if service not in self._clients:
            config = Config(retries={"total_max_attempts": 1}, max_pool_connections=50)
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.info.endpoint_url,
                region_name=self.info.region,
                aws_access_key_id="local",
                aws_secret_access_key="local",
                config=config,
            )
        return self._clients[service]

    @property
    def functions(self) -> Any:
        return self.client("lambda")

    def deploy(self, source: str, **options: Any) -> str:
        name = f"function-{next(self._numbers)}"
        arguments = {"Runtime": "python3.12", "Handler": "app.handler", "Timeout": 10, **options}
        self.functions.create_function(
            FunctionName=name, Role=self.role, Code={"ZipFile": package(source)}, **arguments
        )
        self.made.append(name)
        return name

    def invoke(self, name: str, event: Any = None, **options: Any) -> Answer:
        raw = self.functions.invoke(
            FunctionName=name, Payload=json.dumps(event).encode(), LogType="Tail", **options
        )
        log = base64.b64decode(raw["LogResult"]).decode().splitlines()
        return Answer(json.loads(raw["Payload"].read()), raw.get("FunctionError"), log, raw)

    def logged(self, group: str) -> list[str]:
        """All messages of a log group, without their line ends."""
        logs = self.client("logs")
        groups = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        if group not in [found["logGroupName"] for found in groups]:
            return []
        events = logs.filter_log_events(logGroupName=group)["events"]
        return [event["message"].rstrip("\n") for event in events]

    def clean_up(self) -> None:
        for name in self.made:
            with contextlib.suppress(self.functions.exceptions.ResourceNotFoundException):
                self.functions.delete_function(FunctionName=name)
        self.made.clear()


def package(source: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(
            zipfile.ZipInfo("app.py"), source
        )  # without the time of day: the same bytes each time
    return buffer.getvalue()


@pytest.fixture(scope="session")
def session_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    state_dir = tmp_path_factory.mktemp("lambda-cloud")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        info = control.start(state_dir, lifetime=1200)
    yield Aws(info)
    control.stop(state_dir)


@pytest.fixture
def aws(session_aws: Aws) -> Iterator[Aws]:
    yield session_aws
    session_aws.clean_up()


@pytest.fixture
def code() -> Callable[[str], bytes]:
    """The zip of a module with this source."""
    return package


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Polls until the condition is true; shows what `state` last returned when it never is."""

    def wait(
        condition: Callable[[], Any], state: Callable[[], Any] = lambda: None, seconds: float = 20
    ) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, state()
            time.sleep(0.02)

    return wait


@pytest.fixture
def alive() -> Callable[[int], bool]:
    def look(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    return look
