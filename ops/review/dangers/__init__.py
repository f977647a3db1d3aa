"""What in a plan is dangerous: small rules, each of which looks for one thing."""

from __future__ import annotations

from ops.review.dangers import (
    function,
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

__all__ = ["RULES", "Rule", "find"]

PARTS = (
    whole,
    serving,
    scaling,
    function,
    storage,
    permissions,
    network,
    machines,
    watching,
)  # as they are shown
ORDER = {"danger": 0, "warning": 1, "note": 2}


def find(facts: Facts) -> list[Danger]:
    """Return what a reviewer has to know, the worst first."""
    scene = Scene(facts)
    found = [
        Danger(rule.id, rule.severity, address, text, rule.why, rule.remedy)
        for rule in RULES.values()
        for address, text in rule.judge(scene)
    ]
    everything = [danger for danger in found if danger.rule == whole.EVERYTHING]
    return sorted(everything or found, key=lambda danger: ORDER[danger.severity])
