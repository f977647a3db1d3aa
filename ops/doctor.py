"""Looks at what a stage needs and tells what is missing, with the remedy, before anything is begun."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from botocore.exceptions import ClientError

from ml.errors import KennelError
from ops import provider_mirror, terraform
from ops.declared import value_of, variables
from ops.paths import ROOT, TERRAFORM
from ops.stage import LOCAL, Stage

Level = Literal["ok", "warning", "error"]
LAMBDA_UNRESERVED = 100  # of the account's concurrency must stay free: Lambda's own rule
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


def refuse_short_concurrency(stage: Stage) -> None:
    """See that the account has the concurrency that the function reserves, before a plan is made.

    Raises:
        KennelError: it has not.
    """
    for finding in _function_concurrency(stage):
        if finding.level == "error":
            raise KennelError("The account has the concurrency to reserve.", finding.text, finding.remedy)


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
    client = stage.client("lambda")
    limits = client.get_account_settings()["AccountLimit"]
    limit, free = limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]
    declared = (value_of("lambda", stage.variables_file) or {}).get(
        "reserved_concurrency"
    ) or _default_reservation()
    if declared == -1:
        yield Finding("function concurrency", "ok", f"{limit} in the account; the function reserves none")
        return
    ours = _reserved_already(client, f"{value_of('prefix', stage.variables_file)}-{stage.name}-classify")
    text = f"{limit} in the account, {free} of them not reserved; the function reserves {declared}"
    if free + ours - declared < LAMBDA_UNRESERVED:
        remedy = (
            f"{LAMBDA_UNRESERVED} of the account's must stay unreserved: ask AWS for more, or set "
            f"lambda.reserved_concurrency in {stage.name}.tfvars; -1 reserves none."
        )
        yield Finding("function concurrency", "error", text, remedy)
    else:
        yield Finding("function concurrency", "ok", text)


def _default_reservation() -> int:
    declared = variables(TERRAFORM / "modules" / "lambda")["lambda"]["type"]
    found = re.search(r"reserved_concurrency\s*=\s*optional\(number,\s*(\d+)\)", declared)
    return int(found.group(1)) if found else 0


def _reserved_already(client: Any, function: str) -> int:
    try:
        return int(
            client.get_function_concurrency(FunctionName=function).get("ReservedConcurrentExecutions", 0)
        )
    except ClientError:
        return 0  # not deployed yet


CHECKS: list[Check] = [
    _python, _packages, _terraform, _provider, _disk, _cloud, _credentials, _function_concurrency,
]  # fmt: skip
