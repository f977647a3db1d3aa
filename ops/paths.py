"""Where things lie. Everything the project writes is below `.kennel/` and `runs/`."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TERRAFORM = ROOT / "terraform"
LAMBDA_SOURCE = ROOT / "lambda"
RUNS = ROOT / "runs"

WORK = ROOT / ".kennel"
CLOUD = WORK / "cloud"
ARTIFACTS = WORK / "artifacts"
LAMBDA_PACKAGE = WORK / "build" / "lambda.zip"


def shown(path: Path) -> str:
    """Return the path as a person would type it from the project's root."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
