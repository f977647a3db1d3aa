"""Builds the container images, and brings them to the stage's registry.

An image holds packages and no code of ours: the model brings the code that serves it, a job the code that trains.
So its tag is the digest of what it is made of, and there is nothing to build where that has not changed.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from botocore.exceptions import ClientError

from ml.errors import KennelError
from ops import image_lock
from ops.declared import value_of
from ops.paths import ROOT
from ops.stage import LOCAL, Stage

Purpose = Literal["serving", "training"]
PURPOSES: tuple[Purpose, ...] = ("serving", "training")
DOCKERFILES = {
    "serving": ROOT / "ml" / "serving" / "Dockerfile",
    "training": ROOT / "ml" / "jobs" / "Dockerfile",
}
TOOLS = ("docker", "podman", "buildah")
EPOCH = "315532800"  # 1980: every file's time, so that it does not tell when it was built
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_REPOSITORY = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([a-z0-9][a-z0-9._/-]*)")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """What an image is made of."""

    purpose: Purpose
    platform: str  # linux/amd64, linux/arm64
    packages: tuple[str, ...] = ()  # besides the locked ones

    @property
    def dockerfile(self) -> Path:
        return DOCKERFILES[self.purpose]

    @property
    def arguments(self) -> dict[str, str]:
        name = "FALLBACK" if self.purpose == "serving" else "PACKAGES"
        return {"SOURCE_DATE_EPOCH": EPOCH, **({name: " ".join(self.packages)} if self.packages else {})}

    @property
    def tag(self) -> str:
        pins = image_lock.LOCK if self.purpose == "serving" else ROOT / "requirements.txt"
        inputs = [self.dockerfile.read_bytes(), pins.read_bytes(), repr(self).encode()]
        return hashlib.sha256(b"\0".join(inputs)).hexdigest()[:12]


def recipe(stage: Stage, purpose: str, *, torch: bool = False) -> Recipe:
    """Return what the stage's image is made of; serving takes PyTorch along where that is to be its engine.

    Raises:
        KennelError: there is no such image, or requirements.txt lacks a pin.
    """
    if purpose not in PURPOSES:
        raise KennelError(f"An image is for {' or '.join(PURPOSES)}.", purpose, "Correct --for.")
    if purpose == "training":
        if torch:
            raise KennelError("The image for training has PyTorch.", "--torch", "Leave it out.")
        return Recipe("training", "linux/amd64", tuple(image_lock.pinned(image_lock.of_training())))
    extra = tuple(image_lock.pinned(set(image_lock.FALLBACK))) if torch else ()
    return Recipe("serving", _platform(stage), extra)


def _platform(stage: Stage) -> str:
    endpoint = value_of("endpoint", stage.variables_file)
    kind = endpoint.get("instance_type", "") if isinstance(endpoint, dict) else ""
    return "linux/arm64" if re.fullmatch(r"ml\.[a-z]+\d+g[a-z]*\..+", str(kind)) else "linux/amd64"


@dataclass(frozen=True)
class Tool:
    """A program that builds and pushes images."""

    name: str

    @classmethod
    def find(cls) -> Tool:
        """Return the first that is there and works.

        Raises:
            KennelError: none does.
        """
        seen = []
        for name in TOOLS:
            if shutil.which(name) is None:
                continue
            if name != "docker":
                return cls(name)
            asked = _run([name, "version", "--format", "{{.Server.Version}}"])
            if asked.returncode == 0:
                return cls(name)
            seen.append(f"docker, whose engine does not answer: {(asked.stderr or asked.stdout).strip()}")
        raise KennelError(
            "An image is built by docker, podman or buildah.",
            "; ".join(seen) or "none of them is on the PATH",
            "Start Docker, or install podman, and run the same command again; or run it where there is one, such as "
            "AWS CloudShell or CodeBuild.",
        )

    def build(self, made_of: Recipe, name: str) -> list[str]:
        """The command that builds; the same inputs give the same files, times included."""
        command = [self.name, "build", "--platform", made_of.platform, "--pull"]
        if self.name != "docker":
            command += ["--format", "docker", "--timestamp", EPOCH]
        for key, value in made_of.arguments.items():
            command += ["--build-arg", f"{key}={value}"]
        return [*command, "--tag", name, "--file", str(made_of.dockerfile), str(ROOT)]

    def build_environment(self) -> dict[str, str]:
        # An attestation would make the image an index of manifests, which SageMaker refuses.
        return os.environ | {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}

    def push(self, image: str, user: str, password: str) -> None:
        """Push with credentials that are gone afterwards.

        Raises:
            KennelError: the registry refuses.
        """
        with tempfile.TemporaryDirectory(prefix="kennel-login-") as folder:
            files = {"DOCKER_CONFIG": folder, "REGISTRY_AUTH_FILE": str(Path(folder, "auth.json"))}
            environment = os.environ | files
            registry = image.partition("/")[0]
            login = [self.name, "login", "--username", user, "--password-stdin", registry]
            for command, told in ((login, password), ([self.name, "push", image], None)):
                done = _run(command, environment, told)
                if done.returncode != 0:
                    raise KennelError(
                        f"{registry} takes the image.",
                        f"{self.name} {command[1]}: {done.stderr.strip()[-600:]}",
                        "Check your rights: ecr:GetAuthorizationToken, BatchCheckLayerAvailability, "
                        "InitiateLayerUpload, UploadLayerPart, CompleteLayerUpload, PutImage.",
                    )


def build(made_of: Recipe, name: str) -> Tool:
    """Build the image under a name; the tool's output goes to the terminal.

    Raises:
        KennelError: there is nothing to build with, or it fails.
    """
    tool = Tool.find()
    done = subprocess.run(tool.build(made_of, name), env=tool.build_environment(), check=False)
    if done.returncode != 0:
        raise KennelError(
            "The image can be built.",
            f"{tool.name} ended with {done.returncode}",
            "What it printed says why.",
        )
    return tool


def release(
    stage: Stage,
    made_of: Recipe,
    outputs: dict[str, Any],
    *,
    repository: str | None,
    tag: str | None,
    say: Say,
) -> str:
    """Build and push unless the registry has it; return the image by its digest, which never means another.

    Raises:
        KennelError: the stage has no registry, or one step fails.
    """
    if stage.name == LOCAL:
        raise KennelError(
            "The embedded cloud runs no containers: this machine's Python stands for the image.",
            "--push in the stage local",
            "Name a stage in an AWS account with --stage.",
        )
    address = repository or (outputs.get("image_repositories") or {}).get(made_of.purpose)
    match = _REPOSITORY.fullmatch(str(address))
    if match is None:
        raise KennelError(
            "An image is pushed to an ECR repository.",
            address or f"the stage {stage.name} has none for {made_of.purpose}",
            f'Put image_repositories = ["{made_of.purpose}"] into terraform/stages/{stage.name}.tfvars and apply, '
            "or name one with --repository.",
        )
    client, label = stage.client("ecr", region_name=match[2]), checked_tag(tag or made_of.tag)
    image = f"{address}:{label}"
    digest = _digest(client, match[1], match[3], label)
    if digest is not None:
        say(f"{image} is there already.")
    else:
        tool = build(made_of, image)
        say(f"Pushing {image}")
        tool.push(image, *_login(client))
        digest = _digest(client, match[1], match[3], label)
    return f"{address}@{digest}"


def checked_tag(tag: str) -> str:
    if not _TAG.fullmatch(tag):
        raise KennelError(
            "A tag is up to 128 letters, digits, dots, hyphens, underscores.", tag, "Correct --tag."
        )
    return tag


def _digest(client: Any, account: str, repository: str, tag: str) -> str | None:
    try:
        found = client.describe_images(
            registryId=account, repositoryName=repository, imageIds=[{"imageTag": tag}]
        )
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "ImageNotFoundException":
            return None
        if code == "RepositoryNotFoundException":
            raise KennelError(
                "An image is pushed to a repository that exists.",
                f"{repository} in account {account}",
                f"aws ecr create-repository --repository-name {repository} --image-tag-mutability IMMUTABLE",
            ) from error
        raise
    return str(found["imageDetails"][0]["imageDigest"])


def _login(client: Any) -> tuple[str, str]:
    token = client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    return user, password


def _run(
    command: list[str], environment: dict[str, str] | None = None, told: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, input=told, capture_output=True, text=True, check=False)
