"""The page needs nothing else, and shows what others wrote as text."""

from __future__ import annotations

import re

from ops.review.facts import Danger, Finding, RightsChange
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


def test_long_lists_are_folded_and_short_ones_are_open() -> None:
    def created(number: int) -> str:
        changes = tuple(Change(f"aws_a.b[{n}]", "aws_a", "create", "New") for n in range(number))
        return Review(Header("dev"), changes=changes).html()

    assert "<details open><summary>2 new" in re.sub(r"\s+", " ", created(2)).replace(
        "details open>", "details open>"
    )
    assert "<details ><summary>40 new" in re.sub(r"\s+", " ", created(40))
