"""Every dangerous change of a deployed stage is flagged as what it is, no harmless one is, and each review says it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.review.corpus import Corpus, corpus
from tests.ops.review.corpus_bases import FIXED, SCALED, Case
from tests.ops.review.corpus_dangerous import DANGEROUS
from tests.ops.review.corpus_harmless import HARMLESS

pytestmark = [pytest.mark.long, pytest.mark.cloud, pytest.mark.terraform, pytest.mark.timeout(1800)]

each_case = pytest.mark.parametrize("case", [*DANGEROUS, *HARMLESS], ids=lambda case: case.name)


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    with corpus(tmp_path_factory.mktemp("corpus"), SCALED, FIXED) as made:
        yield made


@each_case
def test_what_needs_an_approval_is_flagged_and_nothing_else(case: Case, stages: Corpus) -> None:
    review = stages.review(case)
    text = review.text()
    if folder := os.environ.get("KENNEL_TEST_REVIEWS"):  # to read them all
        Path(folder, f"{re.sub('[^a-z0-9]+', '-', case.name.lower())}.txt").write_text(text)
    flagged = {danger.rule for danger in review.dangers if danger.severity == "danger"}
    assert flagged == case.dangers
    plain = " ".join(text.split())  # lines are wrapped
    assert [word for word in case.words if word not in plain] == []
    assert [word for word in case.not_said if word in plain] == []
    assert max(len(line) for line in text.splitlines()) <= 80


def test_there_are_as_many_changes_as_a_reviewer_sees_in_a_year() -> None:
    assert len(DANGEROUS) >= 18
    assert len(HARMLESS) >= 22
    assert len({rule for case in DANGEROUS for rule in case.dangers}) >= 18
