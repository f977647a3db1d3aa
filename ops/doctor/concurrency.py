"""The function's concurrency: out of the account's, of which 100 must stay free."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from ml.errors import KennelError
from ops.declared import value_of, variables
from ops.doctor.finding import Finding
from ops.live import is_gone
from ops.paths import TERRAFORM
from ops.stage import Stage

UNRESERVED = 100  # of the account's concurrency must stay free: Lambda's own rule


def refuse_short(stage: Stage) -> None:
    """See that the account has the concurrency that the function reserves, before a plan is made.

    Raises:
        KennelError: it has not.
    """
    if not stage.is_running:
        return
    try:
        found = list(concurrency(stage))
    except ClientError:  # who may not look finds out from Lambda
        return
    for finding in found:
        if finding.level == "error":
            raise KennelError("The account has the concurrency to reserve.", finding.text, finding.remedy)


def concurrency(stage: Stage) -> Iterator[Finding]:
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
    if free + ours - declared < UNRESERVED:
        remedy = (
            f"{UNRESERVED} of the account's must stay unreserved: ask AWS for more, or set "
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
    except ClientError as error:
        if not is_gone(error):
            raise
        return 0  # not deployed yet
