"""The review for a terminal of 80 columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ops.review.differences import cut, shorter
from ops.review.facts import Bill, Danger, Finding, ModelPair
from ops.review.review import Header, Review
from ops.review.words import MARKS, Change

WIDTH = 80  # columns
COLUMNS = (24, 21, 21)  # of the models' metrics at most, before the verdict
LISTED = 15  # creations; beyond that they are counted by module
FEW = 8  # entries of a section in the short form
UNSCANNED = "NO SCANNER HAS LOOKED, our own rules only; ./inv plan runs the scanner"
SIGNS = {"danger": "!!", "warning": " !", "note": " ·"}
NOTES = "Terraform's own notes, which are nothing in the account"  # terraform_data


def render(review: Review, *, short: bool = False) -> str:
    """Return the review as text, section by section; those that have nothing to say are left out."""
    sections = [_summary(review)]
    if review.has_changes:
        sections += [
            _dangers(review.dangers),
            _changes(review, short=short),
            _model(review.models),
            [line for note in (*review.endpoint, *review.notes) for line in _wrapped(note)],
            _bill(review.bill, short=short),
            _titled(review.rights_title, _rights(review), few=short),
        ]
    sections.append(_titled("Changed outside Terraform since the last apply", _drift(review), few=short))
    if review.has_changes:
        sections.append(_policy(review, short=short))
    if not short:
        sections.append(_origin(review.header))
    return "\n\n".join("\n".join(line.rstrip() for line in section) for section in sections if section)


def _summary(review: Review) -> list[str]:
    return [*_wrapped(review.headline), *_wrapped(review.verdict)]


def _dangers(found: tuple[Danger, ...]) -> list[str]:
    lines: list[str] = []
    for danger, reasons in with_reasons(found):
        lines += _hanging(f"{SIGNS[danger.severity]} ", f"{danger.severity.upper()}: {danger.text}")
        for name, value in (*reasons, ("where", shorter(danger.address))):
            if value:
                lines += _hanging(f"     {name:7} ", value)
    return lines


def with_reasons(found: Iterable[Danger]) -> Iterator[tuple[Danger, list[tuple[str, str]]]]:
    """Yield each danger with why and the remedy, where the one before has not told the same."""
    told: list[tuple[str, str]] = []
    for danger in found:
        reasons = [("why", danger.why), ("remedy", danger.remedy)]
        yield danger, reasons if reasons != told else []
        told = reasons


def _changes(review: Review, *, short: bool) -> list[str]:
    lines: list[str] = []
    own = [change for change in review.changes if change.type == "terraform_data"]
    for action, mark in MARKS.items():
        of_action = [change for change in review.changes if change.action == action and change not in own]
        if action == "create" and len(of_action) > LISTED:
            lines += [f"  {mark} {number:3d} new in {module}" for module, number in by_module(of_action)]
            continue
        tagged = [change for change in of_action if change.only_tags]
        if len(tagged) > FEW:
            of_action = [change for change in of_action if change not in tagged]
            lines += _hanging(
                f"  {mark} ", f"{len(tagged)} resources get other tags, and change in nothing else"
            )
            tags = dict.fromkeys(detail for change in tagged for detail in change.details)
            lines += [line for tag in tags for line in _hanging("      · ", tag)]
        for change in of_action:
            lines += _hanging(f"  {mark} ", change.text)
            if not short:
                lines += _hanging("      ", shorter(change.address))
            for detail in change.details:
                lines += _hanging("      · ", detail)
    if own:
        names = ", ".join(
            f"{MARKS[change.action]} {shorter(change.address.rpartition('.')[2])}" for change in own
        )
        lines += _hanging("    ", f"and {len(own)} of {NOTES}: {names}")
    if review.outputs and not short:
        named = ", ".join(review.outputs) if len(review.outputs) <= FEW else str(len(review.outputs))
        lines += _hanging("    ", f"Outputs that change: {named}")
    return lines


def by_module(found: Iterable[Change]) -> list[tuple[str, int]]:
    """Return the number of changes in each module of the root."""
    modules = Counter(
        change.address.split(".")[1].split("[")[0] if change.address.startswith("module.") else "the root"
        for change in found
    )
    return sorted(modules.items())


def _model(pair: ModelPair | None) -> list[str]:
    if pair is None:
        return []
    rows = [("Model", pair.before or "none", pair.after or "none", "")]
    rows += [
        (metric.name, metric.before or "–", metric.after or "–", verdict(metric.better))
        for metric in pair.metrics
    ]
    widths = [min(most, max(len(row[n]) for row in rows)) for n, most in enumerate(COLUMNS)]
    lines = [
        "  ".join([*(cut(row[n], width).ljust(width) for n, width in enumerate(widths)), row[3]])
        for row in rows
    ]
    return [*lines, *(line for note in pair.notes for line in _wrapped(note))]


def verdict(better: bool | None) -> str:
    """Return what a metric's change is."""
    return {True: "better", False: "worse", None: ""}[better]


def _bill(bill: Bill | None, *, short: bool) -> list[str]:
    if bill is None:
        return []
    amounts = "" if bill.before == bill.after else f"{dollars(bill.before)} → "
    same = "as now, " if bill.before == bill.after else ""
    line = f"Cost: {amounts}{dollars(bill.after)} a month, {same}at most {dollars(bill.worst)} at maximal capacity"
    dated = f" (prices of {bill.as_of})" if bill.as_of else ""
    lines = _wrapped(f"{line}{dated}.")
    if short:
        return lines
    rows = [line for line in bill.lines if line.before != line.after or line.before is None]
    if not rows:
        return lines
    lines.append(f"  {'':32} {'now':>10} {'after':>10} {'at most':>10}")
    for row in rows:
        amount = " ".join(f"{dollars(value):>10}" for value in (row.before, row.after, row.worst))
        lines.append(f"  {row.name[:32]:32} {amount}")
        if row.note:
            lines += _hanging("      ", row.note)
    return [*lines, *(wrapped for note in bill.notes for wrapped in _hanging("  ", note))]


def dollars(amount: float | None) -> str:
    """Return an amount of a month as people write it."""
    if amount is None:
        return "unknown"
    return f"${amount:,.0f}" if amount >= 100 or amount == 0 else f"${amount:,.2f}"


def _rights(review: Review) -> list[str]:
    signs = {"widens": "+", "narrows": "-", "changes": "~"}
    return [
        line
        for change in review.rights_besides
        for line in [f"{signs[change.kind]} {change.who} {change.text}".strip()]
    ]


def _drift(review: Review) -> list[str]:
    return [f"{shorter(each.address)}: {each.text}" for each in review.drift]


def _policy(review: Review, *, short: bool) -> list[str]:
    findings = review.findings
    relevant = [finding for finding in findings if finding.changed]
    excepted = [finding for finding in relevant if finding.exception is not None]
    shown = [finding for finding in relevant if finding.exception is None]
    untouched = len(findings) - len(relevant)
    told = f"Policy: {_found(shown)}, {len(excepted)} excepted"
    told += f", {untouched} about what stays as it is" if untouched else ""
    lines = _wrapped(f"{told} ({review.header.scanner or UNSCANNED}).")
    for finding in shown[:FEW] if short else shown:
        lines += _hanging(f"  {finding.severity.upper():8} ", f"{finding.text} ({finding.id})")
        if not short:
            lines += _hanging(f"  {'':8} ", shorter(finding.address))
            lines += _hanging(f"  {'':8} ", finding.remedy) if finding.remedy else []
    for finding in [] if short else excepted:
        where = shorter(finding.address)
        lines += _hanging(f"  {'excepted':8} ", f"{finding.id} at {where}: {excuse(finding)}")
    return lines


def excuse(finding: Finding) -> str:
    """Return why a finding is accepted, and until when; empty where it is not."""
    accepted = finding.exception
    return f"{accepted.reason} (until {accepted.until})" if accepted is not None else ""


def _found(findings: list[Finding]) -> str:
    number = Counter(finding.severity for finding in findings)
    if not number:
        return "nothing found"
    return ", ".join(
        f"{number[each]} {each}" for each in ("critical", "high", "medium", "low") if number[each]
    )


def _origin(header: Header) -> list[str]:
    return [line for name, value in origin(header) for line in _hanging(f"{name:9} ", value)]


def origin(header: Header) -> list[tuple[str, str]]:
    """Return where the plan comes from, as names and values."""
    versions = [f"Kennel {header.kennel}", f"Terraform {header.terraform}", f"provider aws {header.provider}"]
    rows = [
        ("Stage", ", ".join(part for part in (header.stage, header.account, header.region) if part)),
        (
            "Commit",
            (header.commit[:12] or "none")
            + (", with changes that are not committed" if header.dirty else ""),
        ),
        ("Made", f"{header.made_at} by {header.made_by}" if header.made_by else header.made_at),
        ("With", ", ".join([*versions, header.scanner or "no scanner"])),
        ("Plan", f"SHA-256 {header.plan_sha256}"),
        ("Apply", header.command),
    ]
    return [(name, value) for name, value in rows if value]


def _titled(title: str, entries: list[str], *, few: bool) -> list[str]:
    if not entries:
        return []
    shown = entries[:FEW] if few else entries
    lines = [f"{title}:", *(line for entry in shown for line in _hanging("  ", entry))]
    if len(shown) < len(entries):
        lines.append(f"  and {len(entries) - len(shown)} more")
    return lines


def _wrapped(note: str) -> list[str]:
    indent = " " * (len(note) - len(note.lstrip()))
    return list(_filled(indent, note, indent or "  "))


def _hanging(lead: str, text: str) -> Iterator[str]:
    indent = " " * (len(lead) + (2 if lead.strip() in {"", *MARKS.values()} else 0))
    return _filled(lead, text, indent)


def _filled(lead: str, text: str, indent: str) -> Iterator[str]:
    """Yield lines that end between words; one that is too long for any, such as an ARN, has lines of its own."""
    line, empty = lead, True
    for word in text.split():
        if not empty and len(line) + 1 + len(word) > WIDTH:
            yield line
            line, empty = indent, True
        line, empty = line + (word if empty else f" {word}"), False
        while len(line) > WIDTH:
            at = _break(line, len(indent))
            yield line[:at]
            line = indent + line[at:]
    if not empty:
        yield line


def _break(line: str, least: int) -> int:
    """Return where to break a word: after a colon or a slash, or else a dot, a hyphen, or where the line ends."""
    for signs in (":/", ".-_"):
        at = max(line.rfind(sign, least + 1, WIDTH) for sign in signs) + 1
        if at > least + 1:
            return at
    return WIDTH
