"""A stage on an embedded cloud of the tests' own, for what works on a stage without Terraform."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from localcloud import control
from localcloud.control import CloudInfo
from ops import stage as stages
from ops.paths import TERRAFORM
from tests.clients import clients


class EmbeddedStage:
    name = "local"
    variables_file = TERRAFORM / "stages" / "local.tfvars"

    def __init__(self, cloud: CloudInfo, directory: Path) -> None:
        self.cloud = cloud
        self.region = cloud.region
        self.directory = directory
        self.client = clients(  # as those of a real stage
            cloud, max_pool_connections=16, retries={"mode": "standard", "total_max_attempts": 4}
        )


@contextmanager
def embedded_stage(folder: Path) -> Iterator[Any]:
    """Start a cloud that knows the project's images, in a new folder; it ends with the block."""
    images = folder / "images.json"
    images.write_text(json.dumps(stages.local_images()))
    try:
        yield EmbeddedStage(control.start(folder, images=images, lifetime=1200), folder / "stage")
    finally:
        control.stop(folder)
