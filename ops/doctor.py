"""Looks at what a stage needs and tells what is missing, with the remedy, before anything is begun."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from ml.errors import KennelError
from ops import provider_mirror, terraform
from ops.declared import value_of
from ops.paths import ROOT
from ops.stage import LOCAL, Stage

Level = Literal["ok", "warning", "error"]
LAMBDA_UNRESERVED = 100  # of the account's concurrency must stay free: Lambda's own rule
LAMBDA_RESERVED = 50  # what the function reserves by default
FREE_BYTES = 5 * 1024**3  # runs, caches and archives


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's answer."""

    name: str
    level: Level
    text: str
    remedy: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        return asdict(self)


Check = Callable[[Stage], Iterator[Finding]]


def examine(stage: Stage) -> list[Finding]:
    """Run all checks; a check that breaks is an error line, never a traceback."""
    found: list[Finding] = []
    for check in CHECKS:
        name = check.__name__.strip("_").replace("_", " ")
        try:
            found += check(stage)
        except KennelError as error:
            received = f" ({error.received})" if error.received is not None else ""
            found.append(Finding(name, "error", f"{error.rule}{received}", error.remedy))
        except Exception as error:
            found.append(Finding(name, "error", f"{type(error).__name__}: {error}"))
    return found


def _python(_: Stage) -> Iterator[Finding]:
    version = ".".join(str(number) for number in sys.version_info[:3])
    yield Finding("python", "ok", version)


def _packages(_: Stage) -> Iterator[Finding]:
    torch = importlib.import_module("torch")
    vision = importlib.import_module("torchvision")
    device = "a GPU" if torch.cuda.is_available() else "the CPU"
    yield Finding(
        "packages", "ok", f"torch {torch.__version__}, torchvision {vision.__version__}, on {device}"
    )


def _terraform(_: Stage) -> Iterator[Finding]:
    yield Finding("terraform", "ok", ".".join(str(number) for number in terraform.version()))


def _provider(stage: Stage) -> Iterator[Finding]:
    mirror = provider_mirror.find(stage.settings.provider_mirror)
    yield Finding("provider", "ok", f"from the mirror {mirror}" if mirror else "from Terraform's registry")


def _disk(_: Stage) -> Iterator[Finding]:
    free = shutil.disk_usage(ROOT).free
    text = f"{free / 1024**3:.0f} GB free"
    if free < FREE_BYTES:
        yield Finding("disk", "warning", text, "Make room: runs/ and .kennel/ grow with every training.")
    else:
        yield Finding("disk", "ok", text)


def _cloud(stage: Stage) -> Iterator[Finding]:
    if stage.name == LOCAL and not stage.is_running:
        yield Finding(
            "cloud", "warning", "the embedded cloud is not running", "./inv cloud.start, or ./inv plan"
        )
        return
    yield Finding(
        "cloud", "ok", f"{stage.identity}, region {stage.environment.get('AWS_REGION', 'of the profile')}"
    )


def _credentials(stage: Stage) -> Iterator[Finding]:
    if stage.is_running:
        arn = stage.client("sts").get_caller_identity()["Arn"]
        yield Finding("credentials", "ok", arn)


def _function_concurrency(stage: Stage) -> Iterator[Finding]:
    if not stage.is_running:
        return
    limits = stage.client("lambda").get_account_settings()["AccountLimit"]
    limit, free = limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]
    declared = (value_of("lambda", stage.variables_file) or {}).get("reserved_concurrency", LAMBDA_RESERVED)
    if declared == -1:
        yield Finding("function concurrency", "ok", f"{limit} in the account; the function reserves none")
        return
    text = f"{limit} in the account, {free} not reserved; the function reserves {declared}"
    if limit < declared + LAMBDA_UNRESERVED:
        remedy = (
            f"Ask AWS for at least {declared + LAMBDA_UNRESERVED}, or lower lambda.reserved_concurrency in "
            f"{stage.name}.tfvars: {LAMBDA_UNRESERVED} of the account's must stay unreserved."
        )
        yield Finding("function concurrency", "error", text, remedy)
    else:
        yield Finding("function concurrency", "ok", text)


CHECKS: list[Check] = [
    _python, _packages, _terraform, _provider, _disk, _cloud, _credentials, _function_concurrency,
]  # fmt: skip
