"""One comment a stage on a pull request: made once, and from then on updated in place."""

from __future__ import annotations

from ops.ci.forge import Forge
from ops.ci.http import ApiError

LIMIT = 65_536  # characters that GitHub takes; GitLab takes more
LOOKS = 3
CUT = "\n\n*Cut here: a comment holds no more. The whole review is the artifact of the run.*\n"


def marker(stage: str) -> str:
    """Return the line that the comment is found by; nobody sees it."""
    return f"<!-- kennel plan {stage} -->\n"


def stick(forge: Forge, number: int, stage: str, text: str) -> str:
    """Make the comment say the text; return what was done: created, updated, or unchanged.

    Raises:
        ApiError: the forge refuses, or does not answer.
    """
    body = marker(stage) + text
    if len(body) > LIMIT:
        body = body[: LIMIT - len(CUT)] + CUT
    for look in range(1, LOOKS + 1):
        ours = [comment for comment in forge.comments(number) if comment.body.startswith(marker(stage))]
        for surplus in ours[1:]:  # two runs at the same time have each made one
            forge.delete(surplus)
        if ours:
            if ours[0].body == body:
                return "unchanged"
            forge.update(ours[0], body)
            return "updated"
        try:
            forge.create(number, body)
        except ApiError as error:  # it may be there all the same: look again
            if not error.is_unsettled or look == LOOKS:
                raise
        else:
            return "created"
    raise AssertionError("the last look returns or raises")
