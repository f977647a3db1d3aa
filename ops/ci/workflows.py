"""Our workflows for GitHub, as data: for those who check them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ops.paths import ROOT, shown

FOLDER = ROOT / ".github" / "workflows"


def load(file: Path) -> dict[str, Any]:
    """Return a workflow; its key `on` is a word, not YAML's yes."""
    read: dict[Any, Any] = yaml.safe_load(file.read_text())
    return {"on" if key is True else key: value for key, value in read.items()}


def scripts() -> Iterator[tuple[str, str]]:
    """Yield where each script stands, and the script."""
    for file in sorted(FOLDER.glob("*.yml")):
        for job_name, job in load(file)["jobs"].items():
            for step in job.get("steps", []):
                if "run" in step:
                    yield f"{shown(file)}: {job_name}: {step['name']}", step["run"]


def check_scripts() -> list[str]:
    """Return what shellcheck, and the rule that no expression is written into a script, have against ours."""
    complaints = []
    for where, script in scripts():
        if "${{" in script:
            complaints.append(f"{where}: give an expression to the script through env:, never in its text")
        done = subprocess.run(
            [str(Path(sys.executable).parent / "shellcheck"), "--shell=bash", "--format=gcc", "-"],
            input=script, capture_output=True, text=True, check=False,
        )  # fmt: skip
        complaints += [f"{where}: {line}" for line in done.stdout.splitlines()]
    return complaints


if __name__ == "__main__":
    sys.exit("\n".join(check_scripts()) or 0)
