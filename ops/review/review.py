"""The review of a plan: what everybody who renders it, and CI, takes from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ops.artifacts import Model
from ops.review import dangers, drift, models, money, rights
from ops.review.facts import Bill, Danger, Drift, Facts, Finding, ModelPair, RightsChange

NOTHING, CHANGES, NEEDS_APPROVAL = 0, 2, 3  # exit codes; an error is 1


@dataclass(frozen=True)
class Review:
    """A plan as a reviewer wants it."""

    dangers: tuple[Danger, ...] = ()
    models: ModelPair | None = None
    bill: Bill | None = None
    rights: tuple[RightsChange, ...] = ()
    drift: tuple[Drift, ...] = ()
    findings: tuple[Finding, ...] | None = None  # None: no scanner has looked
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: Facts, findings: list[Finding] | None = None) -> Review:
        """Judge the facts."""
        deployed: Model | None = facts.deployed
        return cls(
            tuple(dangers.find(facts)),
            models.compare(deployed, facts.model),
            money.of(facts),
            tuple(rights.changes(facts.plan)),
            tuple(drift.of(facts.plan)),
            None if findings is None else tuple(findings),
        )

    @property
    def needs_approval(self) -> bool:
        """Tell whether somebody has to agree before it is applied."""
        severe = [
            finding
            for finding in self.findings or ()
            if finding.changed and finding.exception is None and finding.severity in {"high", "critical"}
        ]
        return bool(severe) or any(danger.severity == "danger" for danger in self.dangers)

    @property
    def exit_code(self) -> int:
        """Return what `./inv plan` exits with."""
        if self.needs_approval:
            return NEEDS_APPROVAL
        return CHANGES if self.counts else NOTHING
