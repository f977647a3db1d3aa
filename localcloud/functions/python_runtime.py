"""The Python that stands for Lambda's: AWS's runtime client and the packages Lambda ships, and no others.

A handler that imports what only this machine has installed must fail here, as it would on AWS.
"""

from __future__ import annotations

import functools
import importlib.metadata
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# What a python3.x image holds under /var/runtime.
_PACKAGES = (
    "awslambdaric",
    "boto3",
    "botocore",
    "jmespath",
    "python-dateutil",
    "s3transfer",
    "simplejson",
    "six",
    "snapshot-restore-py",
    "urllib3",
)


@dataclass(frozen=True)
class Interpreter:
    argv: tuple[str, ...]  # up to the handler
    library: Path | None  # goes to PYTHONPATH
    description: str  # for INIT_START


def link_packages(library: Path) -> None:
    """Fill `library` with links to the packages of this interpreter that Lambda has too."""
    library.mkdir(parents=True, exist_ok=True)
    for package in _PACKAGES:
        distribution = importlib.metadata.distribution(package)
        for top in {
            file.parts[0] for file in distribution.files or [] if file.parts[0] not in ("..", "__pycache__")
        }:
            link = library / top
            if not link.is_symlink():
                link.symlink_to(Path(str(distribution.locate_file(top))).resolve())


def interpreter(runtime: str, library: Path) -> Interpreter:
    """`runtime` is Lambda's name for it, such as python3.12."""
    own = f"python{sys.version_info.major}.{sys.version_info.minor}"
    colon = runtime.replace("python", "python:")
    if runtime != own and (program := _elsewhere(runtime)):
        return Interpreter((program, "-m", "awslambdaric"), None, f"{colon} run by {program}")
    note = "" if runtime == own else f" (there is no {runtime} with awslambdaric on this machine)"
    version = ".".join(map(str, sys.version_info[:3]))
    # -S: no site-packages.
    return Interpreter(
        (sys.executable, "-S", "-m", "awslambdaric"), library, f"{colon} run by Python {version}{note}"
    )


@functools.cache
def _elsewhere(runtime: str) -> str | None:
    """The path of another interpreter that can run the runtime client."""
    program = shutil.which(runtime)
    if program is None:
        return None
    try:
        test = subprocess.run(
            [program, "-c", "import awslambdaric"], capture_output=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return program if test.returncode == 0 else None
