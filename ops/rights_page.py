"""docs/rights.md: each statement of a policy, the call that needs it, and what fails without it."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any

from ops.paths import ROOT

PAGE = ROOT / "docs" / "rights.md"
RECORDING = ROOT / "docs" / "rights.json"  # of the mutation run, tests/test_rights.py

_HEAD = """# Rights: what each role may do, and why

Written by `./inv docs` out of [rights.json](rights.json), which `tests/test_rights.py` records and compares. That test
deploys a stage with all that has a role on an embedded cloud, which enforces IAM: the network, the keys, the photos in
another account, and the optional parts. Each statement is taken out of the live policy; what needs it is done by whom
it is for, and must be refused; the statement is put back, and the same must work again. Every action and every resource
occurs in a call that it allowed. Names and numbers of a deployment's own are shown as `…`.

"""
_FOOT = """## What the embedded cloud cannot show

- `ssmmessages:CreateDataChannel` and `OpenDataChannel` are asked for where a session begins; its stream is not there.
- The gateway endpoint's `InstallAmazonLinuxPackages`, `PullImageLayers` and `ReadWhatTheWayOutLeadsTo` are for calls
  that a boot, Docker and pictures' addresses make: none of them is made here.
- Which source SageMaker sends with an endpoint's role, AWS does not say; the trust policy takes all of the account's.
"""


def page() -> str:
    entries: list[dict[str, Any]] = json.loads(RECORDING.read_text(encoding="utf-8"))
    text = [_HEAD]
    for policy, group in groupby(entries, key=lambda entry: entry["policy"]):
        text.append(f"## {policy}\n\n")
        text += [_section(entry) for entry in group]
    return "".join([*text, _FOOT])


def _section(entry: dict[str, Any]) -> str:
    lines = [f"### {entry['sid']}\n"]
    lines.append(f"- Allows {_code(entry['actions'])}")
    lines.append(
        f"- on {_code(entry['resources'])}" + (f", if `{entry['conditions']}`" if entry["conditions"] else "")
    )
    for by, calls in groupby(
        sorted(entry["calls"], key=lambda call: call["by"]), key=lambda call: call["by"]
    ):
        lines.append(f"- Needed by {by}: {_code(sorted({call['action'] for call in calls}))}")
    lines.append(
        f"- Without it `{entry['scenario']}` fails, {_code(entry['refused'])} being refused: {entry['without']}"
    )
    return "\n".join(lines) + "\n\n"


def _code(words: list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
