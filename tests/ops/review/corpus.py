"""Real plans: stages applied to an embedded cloud, changed a little, and planned by Terraform."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from localcloud import control
from ops import artifacts, fleet, lambda_package, update
from ops.artifacts import Model
from ops.paths import LAMBDA_SOURCE, TERRAFORM
from ops.review.facts import Facts
from ops.review.hidden import Hider
from ops.review.review import Header, Review
from ops.terraform import cli_environment
from tests.clients import clients
from tests.localcloud.endpoints import IMAGES, SERVER
from tests.ops.review.corpus_bases import Base, Case, Clients


class Corpus:
    """Stages on an embedded cloud, and plans of changes of them."""

    def __init__(self, folder: Path, cloud: control.CloudInfo) -> None:
        self.folder = folder
        self.cloud = cloud
        self.client = clients(cloud)
        self.name, self.region = "local", cloud.region  # as a stage has them
        self.showing: dict[str, str] = {}
        self.environment = cli_environment(dict(os.environ), None) | {
            "AWS_ENDPOINT_URL": cloud.endpoint_url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": cloud.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "TF_DATA_DIR": str(folder / "data"),
            "TF_CLI_ARGS": "-no-color",
            "TF_INPUT": "false",
            "GOGC": "off",  # Terraform collects garbage for a fifth of the time that a plan takes
        }
        lambda_package.build(LAMBDA_SOURCE, folder / "lambda.zip")
        for letter in "abc":
            (folder / f"{letter}.tar.gz").write_bytes(_archive(letter))

    def apply(self, *bases: Base) -> None:
        """Make the bases' stages, side by side."""
        directories = [self._directory(base.name, base.variables, base.files) for base in bases]
        self._terraform(directories[0], "init", "-input=false")  # the same modules for all
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._apply, directories))

    def _apply(self, directory: Path) -> None:
        self._terraform(directory, "apply", "-auto-approve")
        outputs = json.loads(self._terraform(directory, "output", "-json"))
        values = {name: entry["value"] for name, entry in outputs.items()}
        (directory / "outputs.json").write_text(json.dumps(values))

    def review(self, case: Case) -> Review:
        """Plan the case's change, and review it."""
        name = re.sub("[^a-z0-9]+", "-", case.name.lower())
        base = self.folder / case.base.name
        outputs = {} if case.first else json.loads((base / "outputs.json").read_text())
        variables = _merged(case.base.variables, case.set)
        if not case.first and variables["model"] and variables["model"] != case.base.variables["model"]:
            variables = {"retained_models": [case.base.variables["model"]]} | variables
        directory = self._directory(name, variables, {**case.base.files, **case.files})
        if not case.first:
            shutil.copy(base / "terraform.tfstate", directory)
        endpoint = outputs.get("endpoint_name")
        with self._scaled(endpoint, case.live), self._changed(case.outside):
            running = fleet.look(self, endpoint)  # type: ignore[arg-type]
            refresh = [] if case.outside else ["-refresh=false"]
            live = [f"-var=live_instance_count={running.wanted}"] if running else []
            self._terraform(directory, "plan", "-out=plan", "-lock=false", *refresh, *live, *case.arguments)
            configs = self._names("endpoint_configs", "EndpointConfigs", "EndpointConfigName")
            models = self._names("models", "Models", "ModelName")
        plan = json.loads(self._terraform(directory, "show", "-json", "plan"))
        chosen = plan["variables"].get("model", {}).get("value")
        hider = Hider(plan)
        facts = Facts(
            self.name,
            self.region,
            hider.plan,
            running,
            artifacts.deployed(outputs),
            Model(chosen["name"], chosen["sha256"], chosen.get("metrics") or {}) if chosen else None,
            update.of_plan(plan, running),
            case.account,
            live_configs=configs,
            live_models=models,
        )
        return Review.of(facts, Header(self.name, self.region), hider=hider)

    def _names(self, operation: str, found: str, name: str) -> frozenset[str]:
        pages = self.client("sagemaker").get_paginator(f"list_{operation}").paginate()
        return frozenset(one[name] for page in pages for one in page[found])

    def _directory(self, name: str, variables: Mapping[str, Any], files: Mapping[str, str]) -> Path:
        directory = self.folder / name
        ignored = shutil.ignore_patterns(".terraform", "*.tfvars*", "tests", "bootstrap")
        shutil.copytree(TERRAFORM, directory, ignore=ignored)
        (directory / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
        (directory / "case.auto.tfvars.json").write_text(json.dumps(variables))
        for file, text in files.items():
            (directory / file).write_text(text)
        return directory

    def _terraform(self, directory: Path, *arguments: str) -> str:
        showing = self.showing if arguments[0] == "show" else {}
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=directory, env=self.environment | showing, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def provider(self) -> Iterator[None]:
        """Keep a provider running that plans are shown with: to start one takes longer than to show."""
        plugins = (self.folder / "data" / "providers").glob("*/hashicorp/aws/*/*/terraform-provider-aws_*")
        with subprocess.Popen(
            [next(plugins), "-debug"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            try:
                found = (re.search("TF_REATTACH_PROVIDERS='(.+)'", line) for line in process.stdout)
                self.showing = {"TF_REATTACH_PROVIDERS": next(filter(None, found))[1]}
                yield
            finally:
                process.terminate()

    @contextmanager
    def _scaled(self, endpoint: str | None, count: int | None) -> Iterator[None]:
        before = fleet.look(self, endpoint)  # type: ignore[arg-type]
        if count is None or endpoint is None or before is None:
            yield
            return
        self._scale(endpoint, count)
        try:
            yield
        finally:
            self._scale(endpoint, before.wanted)

    def _scale(self, endpoint: str, count: int) -> None:
        client = self.client("sagemaker")
        client.update_endpoint_weights_and_capacities(
            EndpointName=endpoint,
            DesiredWeightsAndCapacities=[{"VariantName": "primary", "DesiredInstanceCount": count}],
        )
        deadline = time.monotonic() + 120
        while (state := client.describe_endpoint(EndpointName=endpoint))["EndpointStatus"] != "InService":
            assert time.monotonic() < deadline, state
            time.sleep(0.1)

    @contextmanager
    def _changed(self, outside: Callable[[Clients], Callable[[], Any]] | None) -> Iterator[None]:
        undo = outside(self.client) if outside else None
        try:
            yield
        finally:
            if undo is not None:
                undo()


@contextmanager
def corpus(folder: Path, *bases: Base) -> Iterator[Corpus]:
    """Start a cloud in a new folder and apply the bases; the cloud ends with the block."""
    images = folder / "images.json"
    images.write_text(json.dumps(IMAGES))
    cloud = control.start(folder / "cloud", images=images, lifetime=3600)
    try:
        made = Corpus(folder, cloud)
        made.apply(*bases)
        with made.provider():
            yield made
    finally:
        control.stop(folder / "cloud")


def _archive(letter: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in {"weights": letter.encode(), "code/fakeserver.py": SERVER.encode()}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _merged(base: Mapping[str, Any], laid: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one over the other, objects by field."""
    merged = dict(base)
    for key, value in laid.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else value
    return merged
