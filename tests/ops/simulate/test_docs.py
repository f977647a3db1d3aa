from __future__ import annotations

from localcloud.scaling import Assumptions
from ops.paths import ROOT

PAGE = (ROOT / "docs" / "scaling.md").read_text()


def test_the_page_lists_every_parameter_and_rule_with_its_value_and_mark() -> None:
    for entry in Assumptions().table():
        name = entry.name if entry.mark == "documented" else f"`{entry.name}`"
        assert f"| {name} | {entry.value} | {entry.mark} | {entry.meaning} |" in PAGE
