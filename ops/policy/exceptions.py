"""What a root module's exceptions.toml accepts of the checks' findings: each with a reason, and until a date."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from ml.errors import KennelError
from ops.paths import TERRAFORM, shown
from ops.policy.plans import declared, stage_of
from ops.review.facts import Excuse, Finding
from ops.review.resources import resources

FILE = TERRAFORM / "exceptions.toml"
BOOTSTRAP = TERRAFORM / "bootstrap" / FILE.name
STAGES = ("local", "dev", "prod")
LONGEST = timedelta(days=2 * 366)  # a reason is looked at again
NEEDED = {"rule": str, "address": str, "reason": str, "until": date}
FIELDS: dict[str, type] = {**NEEDED, "stages": list, "by": str}


@dataclass(frozen=True)
class Exemption:
    """One [[exception]] of the file."""

    rule: str
    address: str  # * stands for anything
    reason: str
    until: date
    stages: tuple[str, ...] = STAGES
    by: str = ""

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return _glob(self.address)

    def covers(self, finding: Finding) -> bool:
        """Tell whether it is about this finding."""
        return finding.id == self.rule and bool(self._pattern.fullmatch(finding.address))

    def names(self, address: str) -> bool:
        """Tell whether it is about something at this address."""
        return bool(self._pattern.fullmatch(address))

    def names_declared(self, address: str) -> bool:
        """Tell whether it is about what is declared there, of which there may be none, or many."""
        return bool(_glob(re.sub(r"\[[^\]]*\]", "", self.address)).fullmatch(address))


def load(file: Path = FILE) -> list[Exemption]:
    """Return the file's exceptions; none where there is no file.

    Raises:
        KennelError: it is not well-formed.
    """
    if not file.is_file():
        return []
    try:
        text = tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError as error:
        raise _unfit(file, "must be TOML", error) from error
    unknown = set(text) - {"exception"}
    if unknown:
        raise _unfit(file, "holds [[exception]] and nothing else", ", ".join(sorted(unknown)))
    entries = text.get("exception", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _unfit(file, "holds a list, [[exception]]", entries)
    return [_read(file, number, entry) for number, entry in enumerate(entries, 1)]


def excuse(
    found: list[Finding],
    exemptions: list[Exemption],
    plan: dict[str, Any],
    today: date,
    *,
    scanned: bool = True,
) -> list[Finding]:
    """Return the findings with the exceptions that hold, and what is wrong with the exceptions themselves."""
    stage = stage_of(plan)
    of_stage = [each for each in exemptions if stage in each.stages]
    excused = [_excused(finding, of_stage, today) for finding in found]
    addresses = [
        resource.address for resource in resources(plan) if resource.action not in {"destroy", "forget"}
    ]
    written = declared(plan)
    return excused + list(_idle(of_stage, found, addresses, written, scanned=scanned))


def _excused(finding: Finding, exemptions: list[Exemption], today: date) -> Finding:
    over: date | None = None
    for each in exemptions:
        if each.covers(finding):
            if each.until >= today:
                return replace(finding, exception=Excuse(each.reason, each.until.isoformat(), each.by))
            over = max(over or each.until, each.until)
    return (
        finding if over is None else replace(finding, text=f"{finding.text} (The exception ended on {over}.)")
    )


def _idle(
    exemptions: list[Exemption],
    found: list[Finding],
    addresses: list[str],
    written: set[str],
    *,
    scanned: bool,
) -> Iterator[Finding]:
    """Yield a note for each exception that excepts nothing, so that the file does not rot.

    One for something that this plan has none of says nothing wrong: the stage may have it another time.
    """
    for each in exemptions:
        if any(each.covers(finding) for finding in found):
            continue
        if written and not any(each.names_declared(address) for address in written):
            why = "nothing is declared at that address"
        elif any(each.names(address) for address in addresses) and (
            scanned or not each.rule.startswith("CKV")
        ):
            why = "the check has nothing against it any more"
        else:
            continue
        yield Finding(
            "exception-without-finding",
            "low",
            each.address,
            f"The exception from {each.rule} excepts nothing: {why}.",
            f"Take it out of {FILE.name}, or name the stages that need it.",
            "kennel",
            changed=False,
        )


def _read(file: Path, number: int, entry: dict[str, Any]) -> Exemption:
    which = f"exception {number} ({entry.get('rule', 'no rule')})"
    unknown = sorted(set(entry) - set(FIELDS))
    if unknown:
        raise _unfit(file, f"has in each exception {', '.join(FIELDS)}", f"{which} has {', '.join(unknown)}")
    for field in NEEDED:
        if field not in entry:
            raise _unfit(file, f"has in each exception {', '.join(NEEDED)}", f"{which} has no {field}")
    for field, value in entry.items():
        if type(value) is not FIELDS[field]:  # a datetime is a date, too
            kind = {str: "text", list: "a list", date: "a date such as 2027-06-30, without quotes"}[
                FIELDS[field]
            ]
            raise _unfit(file, f"has {kind} as {field}", f"{which} has {value!r}")
        if isinstance(value, str) and field != "by" and not value.strip():
            raise _unfit(file, f"says something as {field}", f"{which} has {value!r}")
    stages = entry.get("stages", list(STAGES))
    if not stages or any(stage not in STAGES for stage in stages):
        raise _unfit(file, f"names stages of {', '.join(STAGES)}", f"{which} has {stages!r}")
    if entry["until"] > date.today() + LONGEST:
        raise _unfit(file, "excepts for two years at most", f"{which} has {entry['until']}")
    return Exemption(**{**entry, "stages": tuple(stages)})


def _glob(text: str) -> re.Pattern[str]:
    """Return the pattern of an address: its brackets stand for themselves."""
    return re.compile(".*".join(re.escape(part) for part in text.split("*")))


def _unfit(file: Path, rule: str, received: object) -> KennelError:
    return KennelError(f"{shown(file)} {rule}.", received, "Correct the file; docs/policy.md shows one.")
