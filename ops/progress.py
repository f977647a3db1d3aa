"""Shows on stderr how far Terraform is: a bar, where that is a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from tqdm import tqdm


class Progress:
    """Follows the events of one terraform command."""

    def __init__(self, command: str, total: int | None = None) -> None:
        self._counted = "refresh_complete" if command == "plan" else "apply_complete"
        self._bar = tqdm(
            total=total,
            desc=command,
            file=sys.stderr,
            ncols=79,
            leave=False,
            disable=None,  # where stderr is no terminal
            bar_format="{desc}: {n_fmt}/{total_fmt} resources [{elapsed}]{postfix}",
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._bar.close()

    def on_event(self, event: dict[str, Any]) -> None:
        """Take one event of `terraform … -json`."""
        kind = event.get("type", "")
        if kind == "change_summary" and event["changes"]["operation"] == "plan":
            self._bar.total = sum(event["changes"][action] for action in ("add", "change", "remove"))
        elif kind in {"apply_start", "apply_progress", "refresh_start"}:
            self._bar.set_postfix_str(event["hook"]["resource"]["addr"][-40:])
        elif kind == self._counted:
            self._bar.update(1)
