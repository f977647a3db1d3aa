"""Exceptions from findings: read strictly, held until their date, and reported where they except nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ml.errors import KennelError
from ops.policy.exceptions import BOOTSTRAP, FILE, Exemption, excuse, load
from ops.review.facts import Excuse, Finding
from tests.ops.policy.made import plan, resource

TODAY = date(2026, 11, 23)
BUCKET = "module.storage.aws_s3_bucket.data[0]"
FINDING = Finding("CKV_AWS_18", "medium", BUCKET, "Not so: it logs.", "Log.", "checkov")
EXEMPTION = Exemption("CKV_AWS_18", BUCKET, "CloudTrail tells.", date(2027, 5, 31))
PLAN = plan(resource(BUCKET, {"bucket": "data"}), stage="dev")

WELL = """
[[exception]]
rule = "CKV_AWS_18"
address = "module.storage.*"
reason = "CloudTrail tells."
until = 2027-05-31
stages = ["dev"]
by = "Kim"
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "exceptions.toml"
    file.write_text(text)
    return file


def excused(
    *exemptions: Exemption, found: Finding | None = FINDING, today: date = TODAY, **more: Any
) -> list[Finding]:
    return excuse([found] if found else [], list(exemptions), more.pop("of", PLAN), today, **more)


def test_an_exception_is_read(tmp_path: Path) -> None:
    (one,) = load(written(tmp_path, WELL))
    assert one == Exemption(
        "CKV_AWS_18", "module.storage.*", "CloudTrail tells.", date(2027, 5, 31), ("dev",), "Kim"
    )


def test_without_a_file_nothing_is_excepted(tmp_path: Path) -> None:
    assert load(tmp_path / "none.toml") == []


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("[[exception]]", "[[exception]", "must be TOML"),
        ("[[exception]]", "[[exceptions]]", "holds [[exception]] and nothing else.\nReceived: exceptions"),
        ("[[exception]]", "[exception]", "holds a list, [[exception]]"),
        ('rule = "CKV_AWS_18"', "", "exception 1 (no rule) has no rule"),
        ('address = "module.storage.*"', "", "exception 1 (CKV_AWS_18) has no address"),
        ('reason = "CloudTrail tells."', "", "has no reason"),
        ("CloudTrail tells.", "  ", "says something as reason.\nReceived: exception 1 (CKV_AWS_18) has '  '"),
        ("until = 2027-05-31", "", "has no until"),
        (
            "until = 2027-05-31",
            'until = "2027-05-31"',
            "has a date such as 2027-06-30, without quotes as until",
        ),
        (
            "until = 2027-05-31",
            "until = 2027-05-31T00:00:00",
            "has a date such as 2027-06-30, without quotes as until",
        ),
        ("until = 2027-05-31", "until = 9999-05-31", "excepts for two years at most"),
        ('rule = "CKV_AWS_18"', "rule = 18", "has text as rule"),
        ("reason", "because", "exception 1 (CKV_AWS_18) has because"),
        (
            '["dev"]',
            '["test"]',
            "names stages of local, dev, prod.\nReceived: exception 1 (CKV_AWS_18) has ['test']",
        ),
        ('["dev"]', "[]", "names stages of local, dev, prod"),
        ('["dev"]', '"dev"', "has a list as stages"),
        ('["dev"]', '[["dev"]]', "names stages of local, dev, prod"),
    ],
)
def test_a_file_that_is_not_well_formed_is_refused(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    with pytest.raises(KennelError, match=re.escape(message)):
        load(written(tmp_path, WELL.replace(before, after)))


def test_an_exception_excuses_what_it_names() -> None:
    (found,) = excused(EXEMPTION)
    assert found == replace(FINDING, exception=Excuse("CloudTrail tells.", "2027-05-31"))


@pytest.mark.parametrize(
    ("pattern", "covers"),
    [
        (BUCKET, True),
        ("module.storage.*", True),
        ("*.aws_s3_bucket.data[*]", True),
        ("module.storage.aws_s3_bucket.data", False),
        ("module.storage.aws_s3_bucket.data0", False),
        ("aws_s3_bucket.data[0]", False),
    ],
)
def test_a_star_stands_for_anything_and_brackets_for_themselves(pattern: str, covers: bool) -> None:
    found = excused(replace(EXEMPTION, address=pattern))[0]
    assert (found.exception is not None) is covers


def test_an_exception_of_another_rule_or_stage_excuses_nothing() -> None:
    assert excused(replace(EXEMPTION, stages=("prod",))) == [FINDING]
    assert excused(replace(EXEMPTION, rule="CKV_AWS_19"))[0] == FINDING


def test_an_exception_holds_on_its_last_day_and_not_after_it() -> None:
    assert excused(EXEMPTION, today=date(2027, 5, 31))[0].exception is not None
    (found,) = excused(EXEMPTION, today=date(2027, 6, 1))
    assert found.exception is None
    assert found.text == "Not so: it logs. (The exception ended on 2027-05-31.)"


def test_of_two_exceptions_the_one_that_still_holds_counts() -> None:
    over = replace(EXEMPTION, until=date(2026, 1, 1))
    assert excused(over, EXEMPTION)[0].exception is not None


def test_an_exception_that_nothing_needs_any_more_is_reported() -> None:
    (note,) = excused(EXEMPTION, found=None)
    assert (note.id, note.severity, note.changed) == ("exception-without-finding", "low", False)
    assert (
        note.text
        == "The exception from CKV_AWS_18 excepts nothing: the check has nothing against it any more."
    )


def test_an_exception_from_the_scanner_is_not_judged_where_the_scanner_did_not_run() -> None:
    assert excused(EXEMPTION, found=None, scanned=False) == []


def test_an_exception_for_what_nobody_declares_is_reported() -> None:
    (note,) = excused(replace(EXEMPTION, address="module.storage.aws_s3_bucket.date[0]"), found=None)
    assert note.text == "The exception from CKV_AWS_18 excepts nothing: nothing is declared at that address."


def test_an_exception_for_what_this_plan_has_none_of_is_left_alone() -> None:
    without = plan(stage="dev")
    without["configuration"] = PLAN["configuration"]
    assert excused(EXEMPTION, found=None, of=without) == []


@pytest.mark.parametrize("file", [FILE, BOOTSTRAP], ids=["root", "bootstrap"])
def test_the_projects_own_files_are_well_formed_and_each_reason_says_something(file: Path) -> None:
    own = load(file)
    assert own
    assert [each.rule for each in own if len(each.reason) < 20] == []
    assert len({(each.rule, each.address, each.stages) for each in own}) == len(own)
