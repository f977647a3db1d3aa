"""A rule: when it speaks up, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from ops.review import rights
from ops.review.facts import Facts, Severity
from ops.review.resources import Resource, of_types, resources

Hit = tuple[str, str]  # the address, and what happens


class Scene:
    """What the rules look at: the facts, and what several rules make of them."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    @cached_property
    def resources(self) -> list[Resource]:
        return resources(self.facts.plan)

    @cached_property
    def rights(self) -> list[rights.Change]:
        return rights.found(self.facts.plan)

    def of(self, *types: str) -> list[Resource]:
        return of_types(self.resources, *types)

    @property
    def live(self) -> int | None:
        """The instances of the endpoint that serves now; None: nothing serves."""
        return self.facts.fleet.wanted if self.facts.fleet else None


@dataclass(frozen=True)
class Rule:
    """One thing that a reviewer has to know of."""

    id: str
    severity: Severity
    when: str
    why: str
    remedy: str
    judge: Callable[[Scene], Iterator[Hit]]


RULES: dict[str, Rule] = {}


def rule(
    name: str, severity: Severity, *, when: str, why: str, remedy: str
) -> Callable[[Callable[[Scene], Iterator[Hit]]], Callable[[Scene], Iterator[Hit]]]:
    """Make a function the judge of a rule."""

    def register(judge: Callable[[Scene], Iterator[Hit]]) -> Callable[[Scene], Iterator[Hit]]:
        RULES[name] = Rule(name, severity, when, why, remedy, judge)
        return judge

    return register
