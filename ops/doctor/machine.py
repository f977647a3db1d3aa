"""What this machine needs: programs and their versions, room on its disk."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata

import hcl2

from ops import provider_mirror, status, terraform
from ops.doctor.finding import Finding
from ops.paths import ROOT, TERRAFORM
from ops.stage import Stage

FREE_BYTES = 5 * 1024**3  # runs, caches and archives
NEEDED_BYTES = 1024**3  # below, nothing works


def python(_: Stage) -> Iterator[Finding]:
    yield Finding("python", "ok", ".".join(str(number) for number in sys.version_info[:3]))


def packages(_: Stage) -> Iterator[Finding]:
    """Compare what is installed with what requirements.txt pins."""
    pinned = re.findall(r"^([\w.-]+)==([\w.+]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    other = []
    for name, version in pinned:
        try:
            found = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            found = "missing"
        if found != version.partition("+")[0]:
            other.append(f"{name} {found}, pinned {version}")
    if other:
        more = f" and {len(other) - 3} more" if len(other) > 3 else ""
        remedy = "./inv installs what is pinned: begin with it, or remove .venv and let it make another."
        yield Finding("packages", "warning", ", ".join(other[:3]) + more, remedy)
    else:
        yield Finding("packages", "ok", f"{len(pinned)} as pinned, torch {metadata.version('torch')}")


def terraform_version(stage: Stage) -> Iterator[Finding]:
    """Terraform refuses a state that a newer one has written."""
    ours = terraform.version()
    text = ".".join(str(number) for number in ours)
    written = status.stored_state(stage)[0].get("terraform_version") if stage.is_running else None
    newer = written is not None and tuple(int(part) for part in re.findall(r"\d+", written)[:3]) > ours
    if newer:
        remedy = f"Install Terraform {written} or newer: https://developer.hashicorp.com/terraform/install"
        yield Finding("terraform", "error", f"{text}; the stage's state was written by {written}", remedy)
    else:
        yield Finding("terraform", "ok", text + (f"; the state was written by {written}" if written else ""))


def provider(stage: Stage) -> Iterator[Finding]:
    mirror = provider_mirror.find(stage.settings.provider_mirror)
    where = f"from the mirror {mirror}" if mirror else "from Terraform's registry"
    yield Finding("provider", "ok", f"aws {locked_provider()}, {where}")


def locked_provider() -> str:
    """Return the version of the AWS provider that the lock file has."""
    for block in hcl2.loads((TERRAFORM / ".terraform.lock.hcl").read_text()).get("provider", []):
        for name, entry in block.items():
            if name.strip('"').endswith("/aws"):
                return str(entry["version"]).strip('"')
    return "of no locked version"


def disk(_: Stage) -> Iterator[Finding]:
    free = shutil.disk_usage(ROOT).free
    text = f"{free / 1024**3:.0f} GB free"
    remedy = "Make room: runs/ and .kennel/ grow with every training."
    if free < FREE_BYTES:
        yield Finding("disk", "error" if free < NEEDED_BYTES else "warning", text, remedy)
    else:
        yield Finding("disk", "ok", text)
