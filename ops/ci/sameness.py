"""What tells whether two saved plans are one and the same, in all that an apply would make of them.

What a plan says that it changes is not all of it: what is known only while it is applied comes from the configuration
that the file holds, its provisioners and local values too. A forged file shows there.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

CONFIGURATION = ("tfconfig/", ".terraform.lock.hcl")  # entries of a plan file that begin so

APPLIED = ("configuration", "output_changes", "planned_values", "resource_changes", "variables")


def configuration(plan: Path) -> dict[str, bytes]:
    """Return the configuration that a plan file holds, by file."""
    with zipfile.ZipFile(plan) as opened:
        return {name: opened.read(name) for name in opened.namelist() if name.startswith(CONFIGURATION)}


def shown(plan: dict[str, Any]) -> str:
    """Return what `terraform show -json` says that an apply does; who planned, and when, is in the rest of it."""
    return json.dumps({name: plan.get(name) for name in APPLIED}, sort_keys=True)
