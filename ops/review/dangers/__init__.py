"""What in a plan is dangerous: small rules, each of which looks for one thing."""

from __future__ import annotations

from ops.review.dangers import (
    function,
    logs,
    machines,
    network,
    permissions,
    scaling,
    serving,
    storage,
    watching,
    whole,
)
from ops.review.dangers.rule import RULES, Rule, Scene
from ops.review.facts import Danger, Facts

__all__ = ["Rule", "find", "rules"]

PARTS = (
    whole,
    serving,
    scaling,
    function,
    storage,
    logs,
    permissions,
    network,
    machines,
    watching,
)  # as they are shown
SEVERITIES = ("danger", "warning", "note")


def rules() -> list[Rule]:
    """Return all rules, the worst first."""
    parts = [part.__name__ for part in PARTS]
    return sorted(
        RULES.values(),
        key=lambda rule: (SEVERITIES.index(rule.severity), parts.index(rule.judge.__module__)),
    )


def find(facts: Facts) -> list[Danger]:
    """Return what a reviewer has to know, the worst first."""
    scene = Scene(facts)
    found = [
        Danger(rule.id, rule.severity, address, text, rule.why, rule.remedy)
        for rule in rules()
        for address, text in rule.judge(scene)
    ]
    return [danger for danger in found if danger.rule == whole.EVERYTHING] or found
