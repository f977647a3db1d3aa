"""The comment shows what others wrote as they wrote it, fits GitHub's limit, and tells what it leaves out."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ops.review.facts import Danger, Drift, Finding
from ops.review.markdown import LIMIT, code, plain
from ops.review.review import Header, Review
from ops.review.words import Change

HEADER = Header("dev", scanner="checkov 3")
HOSTILE = (
    "a|b `c` **d** _e_ [f](http://g) <img src=x onerror=alert(1)> @octocat #12 <!-- kennel --> $x$ \n# h\\"
)


def review(number: int, plan_text: str = "", words: str = "is changed") -> Review:
    changes = tuple(
        Change(f"aws_a.b[{n}]", "aws_a", "update", f"A {n} {words}", (words,)) for n in range(number)
    )
    danger = Danger("rule", "danger", "aws_a.b", f"A danger {words}", "Why not.", "Do not.")
    return Review(HEADER, changes=changes, dangers=(danger,), plan_text=plan_text)


def test_dangers_come_first_and_the_long_lists_are_folded() -> None:
    text = review(50, "  + resource").markdown()
    order = [
        text.index(part)
        for part in ("### 🛑 Plan for dev", "A danger", "What changes", "<summary>20 further")
    ]
    assert order == sorted(order)
    assert text.count("<details>") == text.count("</details>") == 3
    assert "```text\n  + resource\n```" in text


def test_text_of_others_is_no_markup() -> None:
    shown = plain(HOSTILE)
    assert "\n" not in shown
    assert "<" not in shown
    assert not re.search(r"(?<!\\)[|`*_\[\]$]", shown)
    assert "@octocat" not in shown
    assert "#12" not in shown
    assert "http://" not in shown


@pytest.mark.parametrize("text", ["a`b", "``", "`start", "end`", "a|b", "a\nb", "x" * 900])
def test_code_stays_code(text: str) -> None:
    shown = code(text)
    fence = re.match("`+", shown)
    assert fence is not None
    assert shown.endswith(fence[0])
    assert fence[0] not in shown[len(fence[0]) : -len(fence[0])].replace(" ", "", 1)
    assert not re.search(r"(?<!\\)\|", shown)
    assert "\n" not in shown


def test_a_row_of_a_table_stays_one_row_whatever_is_in_it() -> None:
    hostile = Change(f"aws_a.b[{HOSTILE!r}]", "aws_a", "update", HOSTILE, (HOSTILE,))
    found = replace(review(0), changes=(hostile,), drift=(Drift(HOSTILE, "changed", HOSTILE),))
    row = next(line for line in found.markdown().splitlines() if line.startswith("| `~`"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 4
    assert "<!--" not in found.markdown()


def test_terraforms_words_cannot_end_their_block() -> None:
    text = review(1, "```\n</details>\n<!-- kennel -->\n````\n@octocat").markdown()
    assert "`````text\n```\n</details>" in text
    assert "<!--" not in text


@pytest.mark.parametrize("limit", [LIMIT, 20_000, 4_000])
def test_what_is_too_long_is_cut_in_sight_with_the_least_first(limit: int) -> None:
    text = review(400, "x" * 100 + "\n" + "a line of Terraform\n" * 9_000).markdown(limit)
    assert len(text) <= limit
    top = text.splitlines()[:8]
    assert any(
        line.startswith(f"> Cut to {limit:,} characters: ") and "Terraform's own words" in line
        for line in top
    )
    assert "rows are cut here: the whole is in review.html" in text
    assert "A danger" in text
    assert text.count("<details>") == text.count("</details>")


def test_whatever_is_cut_the_end_is_there() -> None:
    modules = (
        "autoscaling",
        "endpoint",
        "lambda",
        "network",
        "observability",
        "storage",
        "training_instance",
    )
    many = tuple(
        Change(f"module.{module}.aws_a.b[{n}]", "aws_a", "create", "A thing is new " * 9)
        for module in modules
        for n in range(60)
    )
    found = replace(
        review(400, "a line of Terraform\n" * 9_000),
        changes=(*review(400).changes, *many),
        findings=tuple(
            Finding(f"C{n}", "low", "a.b", "It is " * 20, "Mend it.", "kennel", changed=bool(n % 2))
            for n in range(300)
        ),
        drift=tuple(Drift(f"a.{n}", "changed", "retention 7 → 30") for n in range(300)),
    )
    for limit in (LIMIT, 9_000, 5_000):
        text = found.markdown(limit)
        assert text.count("<details>") == text.count("</details>") == 6
        assert text.endswith("</details>\n")
    assert (
        "what is new, drift, policy findings, policy findings about what stays as it is, Terraform's" in text
    )


def test_a_summary_is_html_and_has_no_backslashes() -> None:
    change = Change("module.training_instance.aws_a.b", "aws_a", "create", "A thing is new")
    assert (
        "<summary>1 new: 1 in training_instance</summary>" in replace(review(0), changes=(change,)).markdown()
    )


def test_what_fits_is_not_cut() -> None:
    assert "cut" not in review(3, "x\n" * 100).markdown().lower()


def test_the_limit_counts_characters_not_bytes() -> None:
    text = review(1, "ä" * 60_000).markdown()
    assert "ä" * 60_000 in text
    assert len(text) < LIMIT < len(text.encode())


def test_no_limit_is_too_small() -> None:
    for limit in (10, 300, 1_000):
        assert len(review(100, "x\n" * 1_000, HOSTILE).markdown(limit)) <= limit
