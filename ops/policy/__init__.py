"""Policy checks of a plan: a scanner's and our own, less what is excepted for a reason and until a date."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from ops.policy.checkov import findings as checkov_findings
from ops.policy.checkov import name
from ops.policy.exceptions import FILE, excuse, load
from ops.policy.rules import judge
from ops.policy.severities import ORDER
from ops.review.facts import Finding


def findings(
    plan: dict[str, Any], plan_file: Path, *, scan: bool = True, exceptions: Path = FILE
) -> list[Finding]:
    """Return what the checks have against the plan, the worst first, excepted ones too.

    The plan is as Terraform has it, secrets included: what is written of it is removed again, and nobody else reads it.
    Without `scan`, only our own rules look. `exceptions` is the file of the root module that the plan is of.

    Raises:
        KennelError: the scanner could not be installed or did not do its work, or the exceptions are not well-formed.
    """
    excepted = load(exceptions)
    found = judge(plan)
    if scan:
        found += checkov_findings(plan, plan_file)
    return sorted(excuse(found, excepted, plan, date.today(), scanned=scan), key=_worst_first)


def scanner() -> str:
    """Return the scanner's name and version."""
    return name()


def _worst_first(finding: Finding) -> tuple[bool, bool, int, str, str]:
    return (
        not finding.changed,
        finding.exception is not None,
        ORDER.index(finding.severity),
        finding.id,
        finding.address,
    )
