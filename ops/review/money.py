"""What a plan changes about the stage's monthly cost."""

from __future__ import annotations

from typing import Any

from ops import cost, declared_cost, prices
from ops.cost import HOURS, Cost, usd
from ops.declared_cost import Declared, Estate, resources
from ops.fleet import CONFIGURATION, STACK
from ops.review.facts import Bill, BillLine, Facts


def of(facts: Facts) -> Bill | None:
    """Return the cost before and after, and at maximal capacity; None without a plan."""
    if not facts.plan:
        return None
    variables = {name: entry.get("value") for name, entry in (facts.plan.get("variables") or {}).items()}
    prior = ((facts.plan.get("prior_state") or {}).get("values") or {}).get("root_module") or {}
    planned = (facts.plan.get("planned_values") or {}).get("root_module") or {}
    before = declared_cost.of(Estate(tuple(resources(prior)), facts.region, fleet=facts.fleet))
    estate = Estate(tuple(resources(planned)), facts.region, variables, _fleet_after(facts))
    after = declared_cost.of(estate)
    lines = _lines(before, after)
    return Bill(
        _month(one.hourly for one in before.costs),
        _month(one.hourly for one in after.costs),
        _month(one.most for one in after.costs),
        lines,
        prices.as_of(facts.region) or "",
        prices.source(facts.region) or "",
        tuple(_notes(facts.region, after, lines)),
    )


def _fleet_after(facts: Facts) -> Any:
    """The live fleet where it stays, and where it is not known what comes."""
    for change in facts.plan.get("resource_changes", []):
        if change["type"] in {CONFIGURATION, STACK} and "create" in change["change"]["actions"]:
            return None  # the count that it begins with is in the plan
    return facts.fleet


def _lines(before: Declared, after: Declared) -> tuple[BillLine, ...]:
    old, new = ({one.what: one for one in each.costs} for each in (before, after))
    found = [_line(name, old.get(name), new.get(name)) for name in dict.fromkeys([*new, *old])]
    return tuple(sorted(found, key=lambda line: -max(line.before or 0, line.after or 0, line.worst or 0)))


def _line(name: str, old: Cost | None, new: Cost | None) -> BillLine:
    details = dict.fromkeys(one.detail for one in (old, new) if one is not None)
    note = " → ".join(details) + (f"; {new.note}" if new is not None and new.note else "")
    return BillLine(
        name,
        _month([old.hourly if old else 0.0]),
        _month([new.hourly if new else 0.0]),
        _month([new.most if new else 0.0]),
        note,
    )


def _month(hourly: Any) -> float | None:
    summed = cost.total(hourly)
    return None if summed is None else round(summed * HOURS, 4)


def _notes(region: str, after: Declared, lines: tuple[BillLine, ...]) -> list[str]:
    notes = [f"A month has {HOURS} hours here.", *filter(None, [prices.note(region)])]
    update = cost.total(one.update for one in after.costs)
    if update:
        notes.append(f"While an update runs there are two fleets: up to {usd(update)} an hour more.")
    unpriced = [line.name for line in lines if None in (line.before, line.after, line.worst)]
    if unpriced:
        remedy = f"python -m ops.prices {region} renews it"
        notes.append(f"Not in the price table, and so in no sum: {', '.join(unpriced)} ({remedy}).")
    if after.unknown:
        notes.append(f"Not known whether it costs: {', '.join(after.unknown)}.")
    if after.usage:
        notes.append("By use, not counted: " + "; ".join(after.usage) + ".")
    return notes
