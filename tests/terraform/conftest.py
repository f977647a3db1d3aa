"""Terraform on this machine: where its directories are, and an environment in which it finds the provider."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud import control
from ops import provider_mirror
from ops.paths import ROOT, TERRAFORM, WORK
from ops.terraform import cli_environment
from tests.localcloud.endpoints import IMAGES, Deployer, put_model
from tests.terraform.roots import BesideEndpoint, Initialize, Root


@pytest.fixture(scope="session")
def initialize() -> Initialize:
    """Runs `terraform init` in a directory, without its backend unless a backend_override.tf gives it one of its own.

    Returns the environment for further commands there.

    Without a mirror the provider (700 MB) comes from the registry, once for all directories.
    """
    base = cli_environment(
        {
            **os.environ,
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "TF_CLI_ARGS": "-no-color",
        },
        None,
    )
    if provider_mirror.find(None) is None:
        cache = WORK / "terraform-plugins"
        cache.mkdir(parents=True, exist_ok=True)
        base["TF_PLUGIN_CACHE_DIR"] = str(cache)

    def run(directory: Path) -> dict[str, str]:
        ours = directory.is_relative_to(TERRAFORM)
        # Side by side: one inside the other would be cleared by the outer one's init.
        name = "-".join(directory.relative_to(ROOT).parts) if ours else ""
        data = WORK / "terraform-tests" / name if ours else directory / ".terraform"
        environment = {**base, "TF_DATA_DIR": str(data)}
        backend = [] if (directory / "backend_override.tf").exists() else ["-backend=false"]
        done = subprocess.run(
            ["terraform", "init", "-input=false", *backend],
            cwd=directory, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return environment

    return run


@pytest.fixture(scope="session")
def running_provider(initialize: Initialize) -> Iterator[dict[str, str]]:
    """One AWS provider for all directories that mock it; yields the environment in which Terraform attaches to it.

    Terraform otherwise starts its 700 MB anew for every run of a test, which takes most of the time.
    """
    data = Path(initialize(TERRAFORM / "modules" / "autoscaling")["TF_DATA_DIR"])
    program = next(data.glob("providers/registry.terraform.io/hashicorp/aws/*/*/terraform-provider-aws_*"))
    with subprocess.Popen(
        [program, "-debug"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            attach = next(
                filter(None, (re.search("TF_REATTACH_PROVIDERS='(.+)'", x) for x in process.stdout))
            )
            yield {"TF_REATTACH_PROVIDERS": attach[1]}
        finally:
            process.terminate()


@pytest.fixture
def beside_endpoint(tmp_path: Path, initialize: Initialize) -> Iterator[BesideEndpoint]:
    """Initializes the text of a root module on a cloud with an endpoint: `var.endpoint`, whose variant is `main`."""
    images = tmp_path / "images.json"
    images.write_text(json.dumps(IMAGES))
    cloud = control.start(tmp_path / "cloud", images=images, lifetime=900)

    def initialized(main: str) -> tuple[Root, str]:
        directory = tmp_path / "root"
        directory.mkdir()
        (directory / "main.tf").write_text(main)
        root = Root(directory, initialize(directory), cloud)
        put_model(root.client)
        endpoint = Deployer(root.client("sagemaker")).up()
        root.environment["TF_VAR_endpoint"] = endpoint
        return root, endpoint

    try:
        yield initialized
    finally:
        control.stop(tmp_path / "cloud")
