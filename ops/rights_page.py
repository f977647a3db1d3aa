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

The role that a pipeline plans as (`kennel-ci-local-read` and `-state`) makes a whole plan of that stage; then, for each
statement, each of its calls is made with the role's session, and refused while the statement is out.

What a condition keeps out is tried as well: `tests/rights/outside.py` has a table of all conditions and the call that
violates each, and a test compares it with Terraform's files.

"""
_FOOT = """## What the embedded cloud cannot show

- `ssmmessages:CreateDataChannel` and `OpenDataChannel` are asked for where a session begins; its stream is not there.
- The gateway endpoint's `InstallAmazonLinuxPackages` and `PullImageLayers` are for calls that a boot and Docker make
  without credentials: here the training instance makes them with its role's, to buckets of AWS's names in another
  account. `ReadWhatTheWayOutLeadsTo` is there where a network has a way out, which this one has not: it is put into the
  live policy, with which a job reads a foreign bucket that it could not read before.
- No alarm publishes to a topic here, so the condition of the topic's policy, `aws:SourceAccount`, is not tried.
- A plan of this stage does not need everything that the pipeline's role may: what stages with scaling, topics,
  repositories, NAT or an endpoint that scales to zero need besides is named in the test.
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
