"""Directories of Terraform, applied to an embedded cloud of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from localcloud.control import CloudInfo
from tests.clients import clients


class Root:
    """An initialized directory, with its state in a file, and the cloud that it is applied to."""

    def __init__(self, directory: Path, environment: dict[str, str], cloud: CloudInfo) -> None:
        self.directory = directory
        self.client = clients(cloud)
        self.environment = environment | {
            "AWS_ENDPOINT_URL": cloud.endpoint_url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": cloud.region,
            "TF_INPUT": "false",
        }

    def terraform(self, *arguments: str) -> str:
        """Run a command that has to succeed; return what it says."""
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.directory, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


Initialize = Callable[[Path], dict[str, str]]
BesideEndpoint = Callable[[str], tuple[Root, str]]  # the text of a root module; the endpoint's name
