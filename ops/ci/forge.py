"""What the tasks ask of a forge, GitHub or GitLab: who merged a commit, and the comments on a pull request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from ml.errors import KennelError
from ops.ci.http import Api
from ops.ci.run import Run


@dataclass(frozen=True)
class Request:
    """A pull request that was merged."""

    number: int
    head: str  # its last commit


@dataclass(frozen=True)
class Comment:
    """A comment that we may have written."""

    path: str  # of the API
    body: str


class Forge(Protocol):
    """GitHub or GitLab."""

    def merged(self, commit: str) -> Request | None:
        """Return the pull request whose merge made the commit; None: it came without one."""

    def comments(self, number: int) -> list[Comment]:
        """Return what our bot has written on the pull request, the oldest first."""

    def create(self, number: int, body: str) -> None:
        """Write a comment."""

    def update(self, comment: Comment, body: str) -> None:
        """Change a comment."""

    def delete(self, comment: Comment) -> None:
        """Delete a comment."""


def of(run: Run) -> Forge:
    """Return the run's forge.

    Raises:
        KennelError: the run has no token for it.
    """
    if run.token is None:
        name = "GITHUB_TOKEN" if run.forge == "github" else "KENNEL_GITLAB_TOKEN"
        raise KennelError(
            "What asks the forge has a token.",
            f"{name} is not set",
            "Give it to the step: docs/ci.md shows how.",
        )
    return GitHub(run) if run.forge == "github" else GitLab(run)


class GitHub:
    """GitHub's REST API."""

    def __init__(self, run: Run) -> None:
        headers = {"Authorization": f"Bearer {run.token}", "X-GitHub-Api-Version": "2022-11-28"}
        self.api = Api(run.api, headers)
        self.root = f"/repos/{quote(run.repository)}"
        self.bot = run.bot

    def merged(self, commit: str) -> Request | None:
        for entry in self.api.pages(f"{self.root}/commits/{commit}/pulls"):
            if entry.get("merged_at") and entry.get("merge_commit_sha") == commit:
                return Request(entry["number"], entry["head"]["sha"])
        return None

    def comments(self, number: int) -> list[Comment]:
        entries = self.api.pages(f"{self.root}/issues/{number}/comments")
        ours = (entry for entry in entries if self._is_ours(entry))
        return [Comment(f"{self.root}/issues/comments/{entry['id']}", entry["body"] or "") for entry in ours]

    def create(self, number: int, body: str) -> None:
        self.api.call("POST", f"{self.root}/issues/{number}/comments", {"body": body})

    def update(self, comment: Comment, body: str) -> None:
        self.api.call("PATCH", comment.path, {"body": body})

    def delete(self, comment: Comment) -> None:
        self.api.call("DELETE", comment.path)

    def _is_ours(self, entry: dict[str, Any]) -> bool:
        """Somebody else may write our marker; the token could change even their comment."""
        return bool((entry.get("user") or {}).get("login") == self.bot)


class GitLab:
    """GitLab's REST API, version 4."""

    def __init__(self, run: Run) -> None:
        self.api = Api(run.api, {"PRIVATE-TOKEN": run.token or ""})
        self.root = f"/projects/{quote(run.repository, safe='')}"

    def merged(self, commit: str) -> Request | None:
        for entry in self.api.pages(f"{self.root}/repository/commits/{commit}/merge_requests"):
            made = {entry.get("merge_commit_sha"), entry.get("squash_commit_sha"), entry.get("sha")}
            if entry.get("state") == "merged" and commit in made:
                return Request(entry["iid"], entry["sha"])
        return None

    def comments(self, number: int) -> list[Comment]:
        me = self.api.call("GET", "/user")["id"]
        entries = self.api.pages(f"{self._notes(number)}?sort=asc&order_by=created_at")
        ours = (entry for entry in entries if entry["author"]["id"] == me)
        return [Comment(f"{self._notes(number)}/{entry['id']}", entry["body"]) for entry in ours]

    def create(self, number: int, body: str) -> None:
        self.api.call("POST", self._notes(number), {"body": body})

    def update(self, comment: Comment, body: str) -> None:
        self.api.call("PUT", comment.path, {"body": body})

    def delete(self, comment: Comment) -> None:
        self.api.call("DELETE", comment.path)

    def _notes(self, number: int) -> str:
        return f"{self.root}/merge_requests/{number}/notes"
