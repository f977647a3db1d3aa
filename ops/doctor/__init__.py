"""Looks at what a stage needs and tells what is missing, with the remedy, before anything is begun."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import BotoCoreError, ClientError

from ml.errors import KennelError
from ops.doctor import account, boundary, buckets, concurrency, machine, quotas
from ops.doctor.concurrency import refuse_short
from ops.doctor.finding import Check, Finding
from ops.stage import LOCAL, Stage
from ops.sweep.sweeper import is_denied, reason

__all__ = ["Finding", "examine", "lines", "refuse_short"]

WIDTH = 80  # columns
_AT_ONCE = 6

HERE: dict[str, Check] = {  # asks nobody
    "python": machine.python,
    "packages": machine.packages,
    "provider": machine.provider,
    "disk": machine.disk,
    "cloud": account.cloud,
}
THERE: dict[str, Check] = {  # once the credentials are accepted
    "terraform": machine.terraform_version,
    "clock": account.clock,
    "region": account.region,
    "function concurrency": concurrency.concurrency,
    "sagemaker quotas": quotas.sagemaker,
    "network quotas": quotas.network,
    "artifact bucket": buckets.artifacts,
    "data bucket": buckets.data,
    "boundary": boundary.boundary,
}


def examine(stage: Stage) -> list[Finding]:
    """Run all checks; one that breaks is a line, never a traceback."""
    found = [line for name, check in HERE.items() for line in _run(name, check, stage)]
    if stage.name == LOCAL and not stage.is_running:
        return [*found, *_run("terraform", machine.terraform_version, stage)]
    who = list(_run("credentials", account.credentials, stage))
    found += who
    if any(line.level == "error" for line in who):  # everything else would only say the same
        return [*found, *_run("clock", account.clock, stage)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = pool.map(lambda entry: list(_run(entry[0], entry[1], stage)), THERE.items())
        return [*found, *(line for answer in answers for line in answer)]


def _run(name: str, check: Check, stage: Stage) -> Iterator[Finding]:
    try:
        yield from check(stage)  # what it said before it broke stands
    except KennelError as error:
        received = f" ({error.received})" if error.received is not None else ""
        yield Finding(name, "error", f"{error.rule}{received}", error.remedy)
    except ClientError as error:
        why = reason(error)
        if is_denied(why):
            remedy = "Use credentials that may look, or leave it: what needs the right says so."
            yield Finding(name, "warning", f"not allowed to look: {error.operation_name}", remedy)
        else:
            yield Finding(name, "error", why, "Correct what it names, then ask again.")
    except BotoCoreError as error:
        yield Finding(name, "error", reason(error), "Check connection and credentials.")
    except Exception as error:
        remedy = "A fault of this check itself: the other lines stand without it."
        yield Finding(name, "error", f"{type(error).__name__}: {error}", remedy)


def lines(findings: list[Finding]) -> list[str]:
    """Return the findings for a person, 80 columns wide."""
    found = []
    for one in findings:
        begin = f"{one.level:8} {one.name:21} "
        found += textwrap.wrap(
            one.text, WIDTH, initial_indent=begin, subsequent_indent=" " * len(begin), break_on_hyphens=False
        )
        if one.remedy:
            found += textwrap.wrap(
                one.remedy, WIDTH, initial_indent=" " * 10, subsequent_indent=" " * 10, break_on_hyphens=False
            )
    return found
