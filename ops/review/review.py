"""The review of a plan: what everybody who renders it, and CI, takes from it. docs/review.md describes its JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ops.review import dangers, drift, models, money, redact, rights, words
from ops.review.facts import Bill, Danger, Drift, Facts, Finding, ModelPair, RightsChange
from ops.review.hidden import Hider
from ops.review.words import Change

SCHEMA_VERSION = 1
NOTHING, CHANGES, NEEDS_APPROVAL = 0, 2, 3  # exit codes; an error is 1


@dataclass(frozen=True)
class Header:
    """What was planned, by whom, of what, with what."""

    stage: str
    region: str = ""
    account: str = ""
    commit: str = ""  # empty: not in a repository
    dirty: bool = False  # there are changes that are not committed
    terraform: str = ""  # versions
    provider: str = ""
    kennel: str = ""
    scanner: str = ""  # empty: none has looked
    plan_sha256: str = ""  # of the saved plan's file
    made_at: str = ""
    made_by: str = ""  # the caller's ARN
    command: str = ""  # that applies it


@dataclass(frozen=True)
class Review:
    """A plan as a reviewer wants it; nothing in it is secret."""

    header: Header
    has_changes: bool = True
    changes: tuple[Change, ...] = ()
    outputs: tuple[str, ...] = ()  # names of those that change
    dangers: tuple[Danger, ...] = ()
    endpoint: tuple[str, ...] = ()  # what happens to it, in words
    models: ModelPair | None = None
    bill: Bill | None = None
    rights: tuple[RightsChange, ...] = ()
    drift: tuple[Drift, ...] = ()
    findings: tuple[Finding, ...] = ()  # of our own rules only where the header names no scanner
    notes: tuple[str, ...] = ()
    plan_text: str = field(default="", repr=False)  # what Terraform shows of it

    @classmethod
    def of(
        cls,
        facts: Facts,
        header: Header,
        *,
        hider: Hider,
        has_changes: bool = True,
        findings: Sequence[Finding] = (),
        notes: tuple[str, ...] = (),
        plan_text: str = "",
    ) -> Review:
        """Judge the facts; `hider` has taken the secrets out of their plan, and takes them out of all else."""
        found = cls(
            header,
            has_changes,
            tuple(words.changes(facts.plan)),
            tuple(words.outputs(facts.plan)),
            tuple(dangers.find(facts)),
            facts.update.lines if facts.update else (),
            models.compare(facts.deployed, facts.model),
            money.of(facts),
            tuple(rights.changes(facts.plan)),
            tuple(drift.of(facts.plan)),
            tuple(findings),
            notes,
            hider.plan_text(plan_text),
        )
        clean: Review = redact.each_text(found, hider.text)
        return clean

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of changes by action."""
        return words.counts(list(self.changes))

    @property
    def severe(self) -> tuple[Finding, ...]:
        """Return the policy findings that need an approval."""
        return tuple(
            finding
            for finding in self.findings
            if finding.changed and finding.exception is None and finding.severity in {"high", "critical"}
        )

    @property
    def rights_besides(self) -> tuple[RightsChange, ...]:
        """Return the changes of rights that no danger has told already."""
        told = {danger.text.casefold() for danger in self.dangers}
        return tuple(each for each in self.rights if f"{each.who} {each.text}.".casefold() not in told)

    @property
    def rights_title(self) -> str:
        """Return what stands above them."""
        besides = self.rights_besides != self.rights
        return "Who may do what" + (", besides what is told above" if besides else "")

    @property
    def needs_approval(self) -> bool:
        """Tell whether somebody has to agree before it is applied."""
        return bool(self.severe) or any(danger.severity == "danger" for danger in self.dangers)

    @property
    def exit_code(self) -> int:
        """Return what `./inv plan` exits with."""
        if not self.has_changes:
            return NOTHING
        return NEEDS_APPROVAL if self.needs_approval else CHANGES

    @property
    def headline(self) -> str:
        """Return the plan in one sentence."""
        if not self.has_changes:
            return "Nothing changes: what is deployed is what is declared."
        if not self.changes:
            return f"Only outputs change: {', '.join(self.outputs)}."
        return ", ".join(f"{number} to {action}" for action, number in self.counts.items()) + "."

    @property
    def verdict(self) -> str:
        """Return what a reviewer has to do about it; empty where that is nothing."""
        if not self.has_changes or not self.needs_approval:
            return ""
        grave = sum(danger.severity == "danger" for danger in self.dangers)
        parts = [f"{grave} danger{'s' * (grave != 1)}"] if grave else []
        if self.severe:
            by = Counter(finding.severity for finding in self.severe)
            severity = " and ".join(
                f"{by[each]} {each}" if len(by) > 1 else each for each in ("critical", "high") if by[each]
            )
            parts.append(f"{len(self.severe)} policy finding{'s' * (len(self.severe) != 1)} ({severity})")
        return f"NEEDS APPROVAL: {' and '.join(parts)}."

    def to_dict(self) -> dict[str, Any]:
        """Return all of it but Terraform's own text as plain data."""
        plain = {name: value for name, value in asdict(self).items() if name != "plan_text"}
        return {
            "schema_version": SCHEMA_VERSION,
            "exit_code": self.exit_code,
            "needs_approval": self.needs_approval,
            "headline": self.headline,
            "counts": self.counts,
        } | plain

    def text(self, *, short: bool = False) -> str:
        """Return it for a terminal of 80 columns; short for who is about to apply it."""
        from ops.review import text

        return text.render(self, short=short)

    def markdown(self, limit: int | None = None) -> str:
        """Return it for a comment at a pull request, not longer than GitHub takes."""
        from ops.review import markdown

        return markdown.render(self, limit or markdown.LIMIT)

    def html(self) -> str:
        """Return it as one page that needs nothing else."""
        from ops.review import html

        return html.render(self)
