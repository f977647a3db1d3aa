"""A copy of the project with a cloud of its own: brought into a state, run in, looked through."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import numpy as np
from PIL import Image

from bench.faulty.grammar import DEPLOYED, FAILED_APPLY, NEW_MODEL, NOTHING
from localcloud import control
from ml import aws
from ops.paths import TERRAFORM
from tests.project_copy import plain_environment, project_copy

LOCAL = TERRAFORM / "stages" / "local.tfvars"
DEADLINE = 600.0  # seconds a task may take on a loaded machine
PHOTOS = "kennel-photos"  # a data bucket
ATTACHED = "kennel-local-attached"  # a job that is over
BACKBONE = "timm/test_resnet"
SETTINGS = {"backbone": BACKBONE, "epochs": 2, "precision": "f32", "serving_precision": "f32"}
PLANNED = (0, 2, 3)  # exit codes of a plan that was made

# Stands in for docker, which is asked for an image and makes none.
DOCKER = "#!/bin/sh\n"


@dataclass(frozen=True)
class Outcome:
    code: int | None  # None: it did not end
    out: str
    errors: str
    seconds: float


class Project:
    def __init__(self, root: Path, photos: Path, weights: Path) -> None:
        self.root = root
        self.photos = photos
        self.state_dir = root / ".kennel" / "cloud"
        self.model_file = root / "terraform" / "stages" / "local.model.tfvars.json"
        self.settings = root.parent / "settings.json"
        self.settings.write_text(json.dumps({**SETTINGS, "weights": str(weights)}))
        self.long_settings = root.parent / "long.json"
        long = {"epochs": 5000, "unfreeze": "all", "batch_size": 4, "weights": str(weights)}
        self.long_settings.write_text(json.dumps({**SETTINGS, **long}))
        self.models: list[str] = []  # model files' texts
        self.deployed: str | None = None
        self.has_history = False
        self.state = NOTHING
        self._tools = root.parent / "bin"

    # Tasks

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        environment = plain_environment() | {
            "PATH": f"{self._tools}{os.pathsep}{os.environ['PATH']}",
        }
        return subprocess.Popen(
            [sys.executable, "-m", "invoke", "--search-root", str(self.root), *arguments],
            cwd=self.root, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def inv(self, *arguments: str) -> Outcome:
        began = time.monotonic()
        process = self.start(*arguments)
        try:
            out, errors = process.communicate(timeout=DEADLINE)
            return Outcome(process.returncode, out, errors, time.monotonic() - began)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            try:
                out, errors = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                out, errors = process.communicate()
            return Outcome(None, out, errors, time.monotonic() - began)

    def must(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> Outcome:
        """Run a task that no fault meets; raises Broken where it does not succeed."""
        done = self.inv(*arguments)
        if done.code not in codes:
            raise Broken(
                f"inv {' '.join(arguments)} → {done.code}\n{done.out[-2000:]}\n{done.errors[-3000:]}"
            )
        return done

    # Cloud

    @property
    def cloud(self) -> control.CloudInfo:
        found = control.status(self.state_dir)
        if found is None:
            raise Broken("the embedded cloud has ended")
        return found

    def client(self, service: str) -> Any:
        session = boto3.Session("local", "local", region_name=self.cloud.region)
        return aws.client(service, session, endpoint_url=self.cloud.endpoint_url)

    def add(self, rules: list[dict[str, Any]]) -> None:
        control.faults(self.state_dir, add=rules)

    def clear(self) -> dict[str, int]:
        """Forget the faults; return what they have dealt out, by kind and call."""
        counts: dict[str, int] = control.faults(self.state_dir, clear=True)["counts"]
        return counts

    # States

    def set_up(self) -> None:
        """Start the cloud with a data bucket, and train two models."""
        self.must("cloud.start")
        self._tools.mkdir(exist_ok=True)
        docker = self._tools / "docker"
        docker.write_text(DOCKER)
        docker.chmod(0o755)
        s3 = self.client("s3")
        s3.create_bucket(Bucket=PHOTOS)
        for path in sorted(self.photos.rglob("*.png")):
            s3.upload_file(str(path), PHOTOS, f"photos/{path.relative_to(self.photos)}")
        for seed in () if self.models else ("0", "1"):
            self.must("train", "--data", str(self.photos), "--config", str(self.settings), "--seed", seed)
            self.models.append(self.model_file.read_text())

    def bring(self, state: str, *, history: bool = False) -> None:
        """Bring the deployment into the state."""
        if state == NOTHING:
            if self.state != NOTHING:
                self.must("destroy", "--yes")
            self._has(None, NOTHING)
            self.choose(self.models[0])
            return
        if state == self.state == FAILED_APPLY:
            return
        if self.state in (NOTHING, FAILED_APPLY):
            self._deploy(self.deployed or self.models[0])
        if history and not self.has_history:
            self._deploy(self.other)
        self.choose(self.deployed or self.models[0])
        self.state = DEPLOYED
        if state != DEPLOYED:
            self.choose(self.other)
            self.state = NEW_MODEL
        if state == FAILED_APPLY:
            self.add(
                [{"service": "sagemaker", "operation": "CreateEndpointConfig", "kind": "denied", "count": 9}]
            )
            self.must("apply", "--yes", "--force", codes=(1,))
            self.clear()
            self.state = FAILED_APPLY

    @property
    def other(self) -> str:
        """A model that is not deployed."""
        return next(model for model in self.models if _digest(model) != _digest(self.deployed))

    def choose(self, model: str) -> None:
        self.model_file.write_text(model)

    def is_deployed(self) -> None:
        """What the model file names has been deployed."""
        self._has(self.model_file.read_text(), DEPLOYED)

    def is_destroyed(self) -> None:
        self._has(None, NOTHING)

    def start_anew(self) -> None:
        """With a new cloud, after what nothing repairs."""
        control.stop(self.state_dir)
        self._has(None, NOTHING)
        self.set_up()

    def _deploy(self, model: str) -> None:
        self.choose(model)
        self.must("apply", "--yes", "--force")
        self.is_deployed()

    def _has(self, deployed: str | None, state: str) -> None:
        before, self.deployed, self.state = self.deployed, deployed, state
        if deployed is None:
            self.has_history = False
        elif before is not None and _digest(before) != _digest(deployed):
            self.has_history = True

    def forget_photos(self) -> None:
        """What was downloaded of the data bucket, so that it is downloaded again."""
        shutil.rmtree(self.root / ".kennel" / "s3", ignore_errors=True)

    def forget_uploads(self) -> None:
        """What jobs have been given, so that it is uploaded again."""
        s3 = self.client("s3")
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=self.artifacts, Prefix="training/"):
            for entry in page.get("Contents", []):
                if entry["Key"].split("/")[1] in ("source", "data", "weights"):
                    s3.delete_object(Bucket=self.artifacts, Key=entry["Key"])

    @property
    def artifacts(self) -> str:
        names = [one["Name"] for one in self.client("s3").list_buckets()["Buckets"]]
        return next((name for name in names if name.startswith("kennel-local-artifacts")), "")


def _digest(model: str | None) -> str | None:
    """Of the archive that a model file names; a rollback words the rest in its own way."""
    return None if model is None else str(json.loads(model)["model"]["sha256"])


class Broken(Exception):
    """The runs cannot go on from here."""


@contextmanager
def project(folder: Path, photos: Path, weights: Path) -> Iterator[Project]:
    """A project below the folder, set up; its cloud ends with the block."""
    folder.mkdir(parents=True)
    variables = LOCAL.read_text() + f'\ndata_bucket = {{ mode = "existing", name = "{PHOTOS}" }}\n'
    with project_copy(folder / "kennel", variables) as root:
        made = Project(root, photos, weights)
        made.set_up()
        yield made


def make_photos(folder: Path) -> Path:
    """Three classes that differ in colour; no two photos are the same."""
    rng = np.random.default_rng(0)
    colours = {"cat": (60, 120, 190), "dog": (190, 60, 120), "fox": (120, 190, 60)}
    for split, count in (("train", 6), ("valid", 3), ("test", 3)):
        for name, colour in colours.items():
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.array(colour) + rng.integers(-40, 40, (24, 32, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(folder / split / name / f"{number}.png")
    return folder


def make_weights(path: Path) -> Path:
    """Of the smallest backbone; nobody trained them, but they tell colours apart."""
    import torch
    from safetensors.torch import save_file

    from ml.serving.network import build_backbone

    torch.manual_seed(0)
    module = build_backbone(BACKBONE).module
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    module.train()(torch.randn(16, 3, 160, 160))  # sets the batch statistics, or all features would be 0
    save_file(module.state_dict(), path)
    return path
