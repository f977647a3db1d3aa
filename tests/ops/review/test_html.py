"""The page needs nothing else, and shows what others wrote as text."""

from __future__ import annotations

import re

from ops.review.facts import Bill, BillLine, Danger, Finding, Metric, ModelPair, RightsChange
from ops.review.review import Header, Review
from ops.review.words import Change

HOSTILE = "<script>alert(1)</script> \"'> {{ 7 * 7 }}"


def page() -> str:
    change = Change(HOSTILE, "aws_a", "update", HOSTILE, (HOSTILE,))
    return Review(
        Header(HOSTILE, commit=HOSTILE, scanner=HOSTILE),
        changes=(change, Change("aws_a.b", "aws_a", "create", HOSTILE)),
        dangers=(Danger("r", "danger", HOSTILE, HOSTILE, HOSTILE, HOSTILE),),
        rights=(RightsChange(HOSTILE, HOSTILE, "widens", HOSTILE),),
        findings=(Finding(HOSTILE, "high", HOSTILE, HOSTILE, HOSTILE, "checkov"),),
        plan_text=f"</pre>{HOSTILE}",
    ).html()


def test_what_others_wrote_is_text() -> None:
    assert "<script" not in page()
    assert "49" not in re.sub(r"#\w+|[\d.]+(em|px|%)", "", page().split("<body>")[1])
    assert page().count("&lt;script&gt;") > 10


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    assert "default-src 'none'" in page()
    assert not re.search(r"<(link|img|iframe|script)\b|url\(|@import", page())


def test_commands_in_a_rules_words_are_code_and_all_else_is_text() -> None:
    danger = Danger("r", "danger", "a.b", "It is so.", f"No `destroy` sees {HOSTILE}.", "Keep `a` and `b")
    shown = Review(Header("dev"), dangers=(danger,)).html()
    assert "No <code>destroy</code> sees &lt;script&gt;" in shown
    assert "Keep <code>a</code> and <code>b</code>" in shown


def test_a_note_does_not_look_like_a_danger() -> None:
    notes = tuple(Danger("r", severity, "a.b", "It is so.", "", "") for severity in ("danger", "note"))
    shown = Review(Header("dev"), dangers=notes).html()
    assert re.findall(r'<article class="([^"]+)"', shown) == ["flag danger", "flag note"]
    red = re.findall(r"([^{}]+)\{[^{}]*var\(--bad\)", shown.split("</style>")[0])
    assert [selector for selector in red if ".flag" in selector and ".flag.danger" not in selector] == []


def test_a_table_that_is_too_wide_scrolls_and_not_the_page() -> None:
    pair = ModelPair("model-a", "model-b", (Metric("test accuracy", "91.0%", "93.0%", better=True),))
    bill = Bill(1.0, 2.0, 3.0, (BillLine("endpoint", 1.0, 2.0, 3.0, "1 × ml.m5.large"),))
    shown = Review(Header("dev"), models=pair, bill=bill).html()
    assert len(re.findall(r'<div class="scroll"[^>]*>\s*<table', shown)) == 2


def test_nothing_that_changes_shows_no_dangers_and_misses_no_scanner() -> None:
    shown = Review(Header("dev"), has_changes=False).html()
    assert "no scanner has looked" not in shown
    assert 'id="dangers"' not in shown


def test_long_lists_are_folded_and_short_ones_are_open() -> None:
    def created(number: int) -> str:
        changes = tuple(Change(f"aws_a.b[{n}]", "aws_a", "create", "New") for n in range(number))
        return Review(Header("dev"), changes=changes).html()

    assert "<details open><summary>2 new" in re.sub(r"\s+", " ", created(2)).replace(
        "details open>", "details open>"
    )
    assert "<details ><summary>40 new" in re.sub(r"\s+", " ", created(40))
