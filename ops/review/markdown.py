"""The review for a comment at a pull request: what matters is open, long lists are folded, nothing in it is markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ops.review import text
from ops.review.differences import cut, shorter
from ops.review.review import Review
from ops.review.words import MARKS, Change

LIMIT = 65_536  # characters (code points), as GitHub counts a body
LONGEST = 600  # letters of a cell
NOTICE = 400  # characters of the words at the top that tell what is cut
ROWS = 30  # changes that are shown unfolded
SIGNS = {"danger": "🛑", "warning": "⚠️", "note": "ℹ️"}
NO_COMMENT = "<\u200b!--"  # what is hidden in a comment tells ours from others
WHOLE = "the whole is in review.html, which is kept beside the plan"


@dataclass
class Block:
    """A part of the comment; its rows may be cut from the end, those of the lowest `worth` first."""

    name: str  # what is cut, for people
    worth: int
    before: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    left_out: int = 0

    def lines(self) -> list[str]:
        told = [f"\n_{self.left_out} of {len(self.rows) + self.left_out} rows are cut here: {WHOLE}._\n"]
        inside = (
            [*self.rows, *self.after]
            if not self.left_out
            else [*self.rows, *self.after[:1], *told, *self.after[1:]]
        )
        return [*self.before, *inside, ""]

    def __len__(self) -> int:
        return sum(len(line) + 1 for line in self.lines())


def render(review: Review, limit: int = LIMIT) -> str:
    """Return the review, at most `limit` characters long; what is cut is told at its place and at the top."""
    blocks = [block for block in _blocks(review) if block.before or block.rows]
    return "\n".join(line for block in _fitted(blocks, limit) for line in block.lines())[:limit]


def _fitted(blocks: list[Block], limit: int) -> list[Block]:
    notice = Block("", 99)
    room = limit - NOTICE if sum(map(len, blocks)) > limit else limit
    for block in sorted(blocks, key=lambda each: each.worth):
        over = sum(map(len, blocks)) - room
        if over <= 0:
            break
        if not block.rows:
            continue
        over += 160  # of the words that tell of it
        while block.rows and over > 0:
            over -= len(block.rows.pop()) + 1
            block.left_out += 1
    cuts = [block.name for block in blocks if block.left_out]
    if cuts:
        notice.before = [f"> Cut to {limit:,} characters: {', '.join(cuts)}; {WHOLE}."]
        return [blocks[0], notice, *blocks[1:]]
    return blocks


def plain(value: str, longest: int = LONGEST) -> str:
    """Return text that Markdown shows as it is: no markup, no mention, no reference, no way out of a cell."""
    line = re.sub(r"([\\`*_{}\[\]|~$])", r"\\\1", in_html(value, longest))
    return (
        re.sub(r"(^|\s)([-+#=]|\d+[.)])(?=\s)", r"\1\\\2", line)
        if re.match(r"\s*([-+#=]|\d+[.)])\s", line)
        else line
    )


def in_html(value: str, longest: int = LONGEST) -> str:
    """Return the same for a summary, which is HTML: a backslash escapes nothing there."""
    line = cut(value, longest).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"@(?=[\w-])", "@\u200b", line)  # nobody is called, and no other pull request is told
    line = re.sub(r"(?i)(#|\bGH-)(?=\d)", "\\1\u200b", line)
    return re.sub(r"(?i)\b(https?|ftp|www)(?=[:.])", "\\1\u200b", line)  # no link that others wrote


def code(value: str, longest: int = LONGEST) -> str:
    """Return text as code in a line or a cell, whatever backticks it has."""
    line = cut(value, longest).replace("|", "\\|").replace("<!--", NO_COMMENT)
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}" if line else ""


def _blocks(review: Review) -> Iterable[Block]:
    yield Block("", 99, _summary(review))
    if review.has_changes:
        yield _dangers(review)
        yield _severe(review)
        yield from _changes(review)
        yield _models(review)
        yield Block("", 90, [f"{plain(note)}  " for note in (*review.endpoint, *review.notes)])
        yield _bill(review)
        yield _rights(review)
    yield _drift(review)
    if review.has_changes:
        yield from _policy(review)
        yield _plan_text(review)
    origin = [f"| {name} | {_of_origin(name, value)} |" for name, value in text.origin(review.header)]
    yield _folded("Where the plan comes from", "where it comes from", 95, ["| | |", "|---|---|"], origin)


def _summary(review: Review) -> list[str]:
    sign = "🛑 " if review.exit_code == 3 else "✅ " if not review.has_changes else ""
    lines = [f"### {sign}Plan for {plain(review.header.stage)}: {plain(review.headline)}"]
    if review.verdict:
        lines += ["", f"**{plain(review.verdict)}**"]
    facts = []
    if review.models is not None and review.models.after:
        facts.append(f"model {code(review.models.before or 'none')} → {code(review.models.after)}")
    if review.bill is not None and review.has_changes:
        amounts = f"{text.dollars(review.bill.before)} → {text.dollars(review.bill.after)}"
        facts.append(f"cost {amounts} a month, at most {text.dollars(review.bill.worst)}".replace("$", "\\$"))
    if review.drift:
        facts.append(f"{len(review.drift)} changed outside Terraform")
    return [*lines, *(["", " · ".join(facts)] if facts else [])]


def _dangers(review: Review) -> Block:
    found = review.dangers
    if not found:
        return Block("", 99)
    rows = []
    for each, reasons in text.with_reasons(found):
        rows.append(f"- {SIGNS[each.severity]} **{plain(each.text)}** {code(shorter(each.address))}")
        rows[-1] += "".join(f"<br>{name.capitalize()}: {plain(value)}" for name, value in reasons if value)
    grave = sum(each.severity == "danger" for each in found)
    return Block("dangers", 80, [f"#### Dangers and warnings ({grave} of {len(found)} grave)", ""], rows)


def _severe(review: Review) -> Block:
    rows = [
        f"- 🛑 **{plain(each.severity)}** {plain(each.text)} ({code(each.id)}) {code(shorter(each.address))}"
        + (f"<br>Remedy: {plain(each.remedy)}" if each.remedy else "")
        for each in review.severe
    ]
    head = [] if review.header.scanner else ["⚠️ **No scanner has looked at this plan:** our own rules have."]
    head += ["", "#### Policy findings that need an approval", ""] if rows else []
    return Block("policy findings that need an approval", 79, head, rows)


def _changes(review: Review) -> Iterable[Block]:
    """Yield what goes and changes in the open, as long as it is not too long, and what comes folded."""
    comes = [each for each in review.changes if each.action == "create" or each.type == "terraform_data"]
    others = [each for each in review.changes if each not in comes]
    head = ["| | Change | Address |", "|---|---|---|"]
    if others and len(others) <= ROWS:
        yield Block("changes", 70, ["#### What changes", "", *head], [_row(each) for each in others])
    elif others:
        yield Block("changes", 70, ["#### What changes", "", *head], [_row(each) for each in others[:ROWS]])
        rows = [_row(each) for each in others[ROWS:]]
        yield _folded(f"{len(others) - ROWS} further changes", "further changes", 40, head, rows)
    if comes:
        modules = ", ".join(f"{number} in {in_html(module)}" for module, number in text.by_module(comes))
        new = sum(each.action == "create" for each in comes)
        parts = (f"{new} new", f"{len(comes) - new} of {text.NOTES}")
        title = f"{' and '.join(part for part in parts if not part.startswith('0 '))}: {modules}"
        yield _folded(title, "what is new", 30, head, [_row(each) for each in comes])
    if review.outputs:
        yield Block("", 60, [f"Outputs that change: {', '.join(code(name) for name in review.outputs)}"])


def _row(change: Change) -> str:
    details = "".join(f"<br>· {plain(detail)}" for detail in change.details)
    return (
        f"| {code(MARKS[change.action])} | {plain(change.text)}{details} | {code(shorter(change.address))} |"
    )


def _models(review: Review) -> Block:
    pair = review.models
    if pair is None:
        return Block("", 99)
    rows = [
        "| "
        + " | ".join(
            map(plain, (each.name, each.before or "–", each.after or "–", text.verdict(each.better)))
        )
        + " |"
        for each in pair.metrics
    ]
    head = [f"| | {code(pair.before or 'none')} | {code(pair.after or 'none')} | |", "|---|--:|--:|---|"]
    notes = ["", *(plain(note) for note in pair.notes)] if pair.notes else []
    return Block("the models' metrics", 65, ["#### Model", "", *head], rows, notes)


def _bill(review: Review) -> Block:
    bill = review.bill
    if bill is None:
        return Block("", 99)
    # In a summary, which is HTML, a dollar sign cannot be escaped, and two of them are GitHub's for a formula.
    amounts = [text.dollars(amount).replace("$", "US$") for amount in (bill.before, bill.after, bill.worst)]
    title = f"Cost a month: {amounts[0]} → {amounts[1]}, at most {amounts[2]}"
    dated = f" (prices of {in_html(bill.as_of)}, {in_html(bill.source)})" if bill.as_of else ""
    rows = []
    for line in bill.lines:
        cells = [text.dollars(value).replace("$", "\\$") for value in (line.before, line.after, line.worst)]
        rows.append(f"| {plain(line.name)} | {' | '.join(cells)} | {plain(line.note)} |")
    notes = ["", *(f"- {plain(note)}" for note in bill.notes)] if bill.notes else []
    head = ["| | now | after | at most | |", "|---|--:|--:|--:|---|"]
    return _folded(title + dated, "cost", 50, head, rows, notes)


def _rights(review: Review) -> Block:
    signs = {"widens": "➕", "narrows": "➖", "changes": "✏️"}
    rows = [f"- {signs[each.kind]} {plain(each.who)} {plain(each.text)}" for each in review.rights_besides]
    return Block("rights", 60, [f"#### {review.rights_title}", ""] if rows else [], rows)


def _drift(review: Review) -> Block:
    rows = [f"- {code(shorter(each.address))}: {plain(each.text)}" for each in review.drift]
    title = ["#### Changed outside Terraform since the last apply", ""]
    return Block("drift", 45, title if rows else [], rows)


def _policy(review: Review) -> Iterable[Block]:
    """Yield what the plan changes, and what stays as it is; both folded, since what is severe stands above."""
    if not review.findings:
        yield Block("", 99, ["The policy checks found nothing."])
    for changed, title in ((True, "Policy"), (False, "Policy, about what stays as it is")):
        found = [each for each in review.findings if each.changed is changed]
        if not found:
            continue
        excepted = sum(each.exception is not None for each in found)
        scanner = in_html(review.header.scanner or "no scanner")
        told = f"{title}: {len(found) - excepted} found, {excepted} excepted ({scanner})"
        rows = [
            f"| {plain(each.severity)} | {code(each.id)} | {plain(each.text)} | {code(shorter(each.address))} | "
            f"{plain(text.excuse(each)) or plain(each.remedy)} |"
            for each in found
        ]
        yield _folded(
            told,
            "policy findings" if changed else "policy findings about what stays as it is",
            35 if changed else 20,
            ["| | | | Where | Remedy, or why it is accepted |", "|---|---|---|---|---|"],
            rows,
        )


def _plan_text(review: Review) -> Block:
    if not review.plan_text.strip():
        return Block("", 99)
    rows = [line.replace("<!--", NO_COMMENT) for line in review.plan_text.strip("\n").splitlines()]
    fence = "`" * max(3, 1 + max((len(run) for line in rows for run in re.findall("`+", line)), default=0))
    name = "Terraform's own words"
    return _folded(name, name, 10, [f"{fence}text"], rows, [fence])


def _folded(
    title: str, name: str, worth: int, head: Sequence[str], rows: list[str], after: Sequence[str] = ()
) -> Block:
    summary = f"<details><summary>{title}</summary>"
    return Block(name, worth, [summary, "", *head], rows, [*after, "", "</details>"])


def _of_origin(name: str, value: str) -> str:
    return code(value) if name in {"Plan", "Commit", "Apply"} else plain(value)
