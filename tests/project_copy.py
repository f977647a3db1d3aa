"""A copy of the project to deploy from, with an embedded cloud of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localcloud import control
from ops.paths import ROOT, WORK


@contextmanager
def project_copy(root: Path, variables: str | None = None) -> Iterator[Path]:
    """Copy the source tree to `root`; the cloud that is started in the copy ends with the block.

    `variables` takes the place of what the stage `local` sets.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    if variables is not None:
        (root / "terraform" / "stages" / "local.tfvars").write_text(variables)
    share_tools(root)
    try:
        yield root
    finally:
        control.stop(root / ".kennel" / "cloud")


def share_tools(root: Path) -> None:
    """Let a copy find what the project has installed, and the other way round: it would take minutes each time."""
    (WORK / "tools").mkdir(parents=True, exist_ok=True)
    (root / ".kennel").mkdir(exist_ok=True)
    (root / ".kennel" / "tools").symlink_to(WORK / "tools")


def plain_environment() -> dict[str, str]:
    """Return this process's environment without what would lead a task elsewhere."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "KENNEL_", "TF_"))
    }
