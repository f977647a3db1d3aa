from __future__ import annotations

from typing import Any

import pytest

from ops.ci import comment
from ops.ci.forge import GitLab, Request
from ops.ci.run import Run

NOTES = "/projects/42/merge_requests/7/notes"


class FakeApi:
    """GitLab's answers, as far as they are asked for."""

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []
        self.merged: list[dict[str, Any]] = []

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        if path == "/user":
            return {"id": 1}
        if method == "POST":
            assert path == NOTES
            self.note((body or {})["body"], 1)
            return None
        number = int(path.removeprefix(f"{NOTES}/"))
        if method == "DELETE":
            self.notes = [note for note in self.notes if note["id"] != number]
        else:
            assert method == "PUT"
            next(note for note in self.notes if note["id"] == number)["body"] = (body or {})["body"]
        return None

    def pages(self, path: str) -> Any:
        if path.startswith(NOTES):
            return iter(list(self.notes))
        assert path == f"/projects/42/repository/commits/{'b' * 40}/merge_requests"
        return iter(self.merged)

    def note(self, body: str, author: int) -> None:
        self.notes.append({"id": len(self.notes) + 1, "body": body, "author": {"id": author}})


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def gitlab(api: FakeApi) -> GitLab:
    made = GitLab(
        Run("gitlab", "https://gitlab.example.com/api/v4", "42", "b" * 40, None, 7, "", "", None, "token")
    )
    made.api = api  # type: ignore[assignment]
    return made


def test_a_review_is_one_note_that_is_changed_in_place(gitlab: GitLab, api: FakeApi) -> None:
    api.note(f"{comment.marker('dev')}somebody else's", 2)
    assert comment.stick(gitlab, 7, "dev", "one") == "created"
    assert comment.stick(gitlab, 7, "dev", "two") == "updated"
    assert [note["body"].partition("\n")[2] for note in api.notes] == ["somebody else's", "two"]


def test_surplus_notes_of_ours_are_deleted(gitlab: GitLab, api: FakeApi) -> None:
    for _ in range(2):
        api.note(f"{comment.marker('dev')}old", 1)
    comment.stick(gitlab, 7, "dev", "new")
    assert [note["body"] for note in api.notes] == [f"{comment.marker('dev')}new"]


@pytest.mark.parametrize("made_as", ["merge_commit_sha", "squash_commit_sha"])
def test_the_merge_request_of_a_commit_is_found(made_as: str, gitlab: GitLab, api: FakeApi) -> None:
    api.merged = [{"iid": 7, "state": "merged", "sha": "a" * 40, made_as: "b" * 40}]
    assert gitlab.merged("b" * 40) == Request(7, "a" * 40)


def test_a_merge_request_that_only_holds_the_commit_is_not_it(gitlab: GitLab, api: FakeApi) -> None:
    api.merged = [{"iid": 7, "state": "merged", "sha": "a" * 40, "merge_commit_sha": "c" * 40}]
    assert gitlab.merged("b" * 40) is None
