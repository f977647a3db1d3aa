from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ml.errors import KennelError
from ops.ci import comment, forge
from ops.ci.forge import GitHub
from ops.ci.http import Api, ApiError
from ops.ci.run import Run
from tests import forge as stand_in
from tests.forge import BOT, REPOSITORY, TOKEN, Forge

RUN = Run("github", "https://api.github.com", REPOSITORY, "c" * 40, "a" * 40, 7, "", BOT, None, TOKEN)


@pytest.fixture
def known() -> Iterator[Forge]:
    with stand_in.forge() as serving:
        yield serving


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def github(known: Forge, waits: list[float]) -> GitHub:
    made = GitHub(replace(RUN, api=known.address))
    made.api.sleep = waits.append
    return made


def bodies(known: Forge) -> list[str]:
    return [entry["body"] for entry in known.comments.get(7, [])]


def test_the_first_review_is_a_new_comment(github: GitHub, known: Forge) -> None:
    assert comment.stick(github, 7, "dev", "one") == "created"
    assert bodies(known) == [f"{comment.marker('dev')}one"]


def test_a_later_review_changes_the_comment_in_place(github: GitHub, known: Forge) -> None:
    comment.stick(github, 7, "dev", "one")
    assert comment.stick(github, 7, "dev", "two") == "updated"
    assert bodies(known) == [f"{comment.marker('dev')}two"]


def test_the_same_review_again_sends_nothing(github: GitHub, known: Forge) -> None:
    comment.stick(github, 7, "dev", "one")
    assert comment.stick(github, 7, "dev", "one") == "unchanged"
    assert not [call for call in known.calls if call.startswith("PATCH")]


def test_each_stage_has_a_comment_of_its_own(github: GitHub, known: Forge) -> None:
    for stage in ("dev", "prod"):
        comment.stick(github, 7, stage, "one")
    assert len(bodies(known)) == 2


def test_the_marker_in_somebody_elses_comment_is_left_alone(github: GitHub, known: Forge) -> None:
    known.comment(7, f"{comment.marker('dev')}mine", login="somebody")
    assert comment.stick(github, 7, "dev", "one") == "created"
    assert bodies(known)[0] == f"{comment.marker('dev')}mine"


def test_surplus_comments_of_ours_are_deleted(github: GitHub, known: Forge) -> None:
    for _ in range(3):
        known.comment(7, f"{comment.marker('dev')}old")
    comment.stick(github, 7, "dev", "new")
    assert bodies(known) == [f"{comment.marker('dev')}new"]


def test_the_comment_is_found_beyond_the_first_page(github: GitHub, known: Forge) -> None:
    for number in range(130):
        known.comment(7, f"chat {number}", login="somebody")
    known.comment(7, f"{comment.marker('dev')}old")
    assert comment.stick(github, 7, "dev", "new") == "updated"


def test_a_comment_that_is_too_long_is_cut_visibly(github: GitHub, known: Forge) -> None:
    comment.stick(github, 7, "dev", "x" * 70_000)
    assert len(bodies(known)[0]) == comment.LIMIT
    assert bodies(known)[0].endswith(comment.CUT)


def test_a_limit_is_waited_for(github: GitHub, known: Forge, waits: list[float]) -> None:
    known.failing = [(403, {"Retry-After": "7"}), (429, {"Retry-After": "2"})]
    assert comment.stick(github, 7, "dev", "one") == "created"
    assert waits == [7.0, 2.0]


def test_a_limit_that_lasts_is_told_as_a_limit(github: GitHub, known: Forge, waits: list[float]) -> None:
    known.failing = [(403, {"Retry-After": "1800"})]
    with pytest.raises(ApiError, match=r"The limit of calls is reached: run the job again in 30 min\."):
        comment.stick(github, 7, "dev", "one")
    assert waits == []


def test_an_api_that_answers_no_json_is_told(
    github: GitHub, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def page(*_: object) -> None:
        raise json.JSONDecodeError("no JSON", "<html>", 0)

    monkeypatch.setattr(github.api, "_once", page)
    with pytest.raises(ApiError, match=r"no answer: JSONDecodeError"):
        comment.stick(github, 7, "dev", "one")
    assert len(waits) == 4


def test_a_server_that_fails_is_asked_again(github: GitHub, known: Forge) -> None:
    known.failing = [(502, {}), (500, {})]
    assert comment.stick(github, 7, "dev", "one") == "created"


def test_a_comment_whose_answer_was_lost_is_not_written_twice(
    github: GitHub, known: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = github.create

    def lost(number: int, body: str) -> None:
        create(number, body)
        raise ApiError(502, "POST", "bad gateway", "")

    monkeypatch.setattr(github, "create", lost)
    assert comment.stick(github, 7, "dev", "one") == "unchanged"
    assert len(bodies(known)) == 1


def test_a_refusal_names_the_call_and_never_the_token(github: GitHub, known: Forge) -> None:
    known.failing = [(403, {})]
    with pytest.raises(ApiError) as refused:
        comment.stick(github, 7, "dev", "one")
    assert refused.value.status == 403
    assert "GET /repos/org/photos/issues/7/comments" in str(refused.value)
    assert "docs/ci.md" in str(refused.value)
    assert TOKEN not in str(refused.value) + repr(replace(RUN))


def test_an_answer_that_leads_elsewhere_is_not_followed(github: GitHub, known: Forge) -> None:
    known.failing = [(302, {"Location": "https://example.com/"})]
    with pytest.raises(ApiError, match="302"):
        github.comments(7)
    assert len(known.calls) == 1


def test_a_token_does_not_go_over_plain_http() -> None:
    with pytest.raises(KennelError, match="over https only"):
        Api("http://api.github.example", {})


def test_without_a_token_nothing_is_asked() -> None:
    with pytest.raises(KennelError, match="GITHUB_TOKEN is not set"):
        forge.of(replace(RUN, token=None))


def test_the_pull_request_of_a_merge_is_the_one_whose_merge_made_the_commit(
    github: GitHub, known: Forge
) -> None:
    known.merge(7, "a" * 40, "b" * 40)
    known.pulls["c" * 40] = [
        {"number": 8, "merged_at": None, "merge_commit_sha": "c" * 40, "head": {"sha": "d"}}
    ]
    assert github.merged("b" * 40) == forge.Request(7, "a" * 40)
    assert github.merged("c" * 40) is None
