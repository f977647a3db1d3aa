"""What the mutation run has seen, in words that are the same each time: the source of docs/rights.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from moto.iam.access_control import PermissionResult

from localcloud import policies

_OWN = (
    (re.compile(r"(eni|subnet|sg|vpce|vpc|fl|i)-[0-9a-f]{8,}"), r"\1-…"),
    (re.compile(r"key/[0-9a-f-]{36}"), "key/…"),
    (re.compile(r"[0-9a-f]{64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "…"),
    (re.compile(r"kennel-local-(rights|bulk|t)-?[0-9a-f]{8}\S*"), r"kennel-local-\1-…"),
    (re.compile(r"kennel-local-[0-9a-f]{8,}"), "kennel-local-…"),
    (re.compile(r"\d{4}/\d\d/\d\d/.*"), "…"),
    (re.compile(r"(captures/kennel-local/primary)/.*"), r"\1/…"),
    (re.compile(r"(jobs|checkpoints)/[^/\"]+/.*"), r"\1/…"),
    (re.compile(r"(primary/i-…).*"), r"\1"),
)


def plain(text: str) -> str:
    for pattern, put in _OWN:
        text = pattern.sub(put, text)
    return text


class Run:
    """The lines of a run: each statement of each policy, and the calls that were allowed in the course of it."""

    def __init__(self, lines: Iterable[dict[str, Any]]) -> None:
        self._lines = list(lines)
        self._declared: dict[str, dict[str, Any]] = next(
            line["documents"] for line in self._lines if "documents" in line
        )
        self._allowed = [
            entry
            for line in self._lines
            for entry in line.get("decisions", line.get("allowed", ()))
            if entry["allowed"]
        ]
        self.cases = [line for line in self._lines if "sid" in line]

    def statements(self) -> list[dict[str, Any]]:
        """One entry a statement, in the order of the run."""
        found = []
        for line in self.cases:
            statement = self._statement(line)
            calls = {
                (entry["action"], plain(entry["resource"]), entry["source"] or "its own calls")
                for entry in self._granted(line)
            }
            found.append(
                {
                    "policy": line["document"],
                    "sid": line["sid"],
                    "actions": sorted(_list(statement["Action"])),
                    "resources": sorted({plain(one) for one in _list(statement["Resource"])}),
                    "conditions": plain(str(statement.get("Condition") or "")),
                    "calls": [
                        {"action": action, "resource": resource, "by": by}
                        for action, resource, by in sorted(calls)
                    ],
                    "scenario": line["scenario"],
                    "refused": sorted({action for action, _ in line["refused"]}),
                    "without": plain(_said(line["without"])),
                }
            )
        return found

    def unused(self) -> list[str]:
        """Actions and resources of statements that no recorded call has needed."""
        missing = []
        for line in self.cases:
            statement, calls = self._statement(line), self._granted(line)
            where = f"{line['document']} {line['sid']}"
            used = {entry["action"] for entry in calls}
            missing += [f"{where}: {action}" for action in _list(statement["Action"]) if action not in used]
            for pattern in _list(statement["Resource"]):
                alone = {"Effect": "Allow", "Action": "*", "Resource": pattern}
                if not any(
                    policies.concerns(alone, entry["action"], entry["resource"], {}) for entry in calls
                ):
                    missing.append(f"{where}: {plain(pattern)}")
        return missing

    def unplanned(self) -> set[str]:
        """What the pipeline's role may do for a plan, and the plan did not."""
        (plan,) = (
            line["decisions"] for line in self._lines if line.get("scenario") == "plan" and "sid" not in line
        )
        done = {entry["action"] for entry in plan if entry["allowed"]}
        given = {
            action
            for line in self.cases
            if line["scenario"] == "calls_of_a_plan"
            for action in _list(self._statement(line)["Action"])
        }
        return given - done

    def needless(self) -> list[str]:
        """Statements without which every recorded call would still be allowed by the rest of their policy."""
        found = []
        for line in self.cases:
            of_policy = self._declared[line["document"]]
            rest = [one for sid, one in of_policy.items() if sid != line["sid"]]
            if all(any(_grants(one, entry) for one in rest) for entry in self._granted(line)):
                found.append(f"{line['document']} {line['sid']}")
        return found

    def _statement(self, line: dict[str, Any]) -> dict[str, Any]:
        statement: dict[str, Any] = self._declared[line["document"]][line["sid"]]
        return statement

    def _granted(self, line: dict[str, Any]) -> list[dict[str, Any]]:
        """The calls that the line's statement has granted."""
        return [
            entry
            for entry in self._allowed
            if _concerns(line, entry)
            and any(
                one.startswith(line["label"]) and one.endswith(f"/{line['sid']}")
                for one in entry["statements"]
            )
        ]


def _said(text: str) -> str:
    """What tells the reason, of a traceback or a function's error."""
    if text.startswith("{"):
        return str(json.loads(text)["errorMessage"])
    lines = text.splitlines()
    told = next((one for one in lines if "AccessDenied" in one and "Traceback" in text), lines[0])
    return told.replace(" (reached max retries: 0)", "").rpartition("botocore.errorfactory.")[2]


def _concerns(line: dict[str, Any], entry: dict[str, Any]) -> bool:
    """Statements of roles' policies have a role's name; those of resources' are anybody's."""
    of_role = not line["label"].startswith("policy of")
    return not of_role or entry["role"].endswith(f"/{line['role']}")


def _grants(statement: dict[str, Any], entry: dict[str, Any]) -> bool:
    who = policies.Who((entry["principal"], entry["role"]), entry["role"].split(":")[4])
    result = policies.evaluate(statement, entry["action"], entry["resource"], who, entry["context"])
    return result == PermissionResult.PERMITTED


def _list(value: Any) -> list[str]:
    return list(value) if isinstance(value, list) else [value]
