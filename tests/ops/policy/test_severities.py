"""How bad a check's failure is: the highest of what is published, and high where nothing is."""

from __future__ import annotations

import pytest

from ops.policy.severities import ORDER, remedy, severity, table


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ("CKV_AWS_62", "critical"),
        ("CKV_AWS_98", "high"),
        ("CKV_AWS_306", "high"),  # low for its maker, high for AWS
        ("CKV_AWS_18", "medium"),
        ("CKV_AWS_338", "low"),
        ("CKV_AWS_99999", "high"),
    ],
)
def test_the_highest_published_severity_counts(check: str, expected: str) -> None:
    assert severity(check) == expected


def test_the_table_holds_severities_and_remedies_and_nothing_else() -> None:
    for check, entry in table().items():
        published = {by: entry[by] for by in entry if by != "remedy"}
        assert published, check
        assert set(published) <= {"prisma", "aws", "ours"}, check
        assert set(published.values()) <= set(ORDER), check


def test_a_remedy_names_our_variable() -> None:
    assert remedy("CKV_AWS_98") == "Name a key in endpoint.volume_kms_key_arn."
    assert remedy("CKV_AWS_99999") is None
