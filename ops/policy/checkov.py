"""Runs checkov over a plan: offline, with nothing of ours in its environment, and reads what it says."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ml.data.files import PART, sweep
from ml.errors import KennelError
from ops import files
from ops.paths import WORK
from ops.policy.followed import follow
from ops.policy.severities import remedy, severity
from ops.policy.tool import Tool
from ops.review.facts import Finding
from ops.review.resources import resources

WITHOUT = "./inv plan --no-scan plans without the scanner, and the review says so"
TOOL = Tool("checkov", Path(__file__).with_name("requirements.txt"), WITHOUT)
SECONDS = 300  # it takes 4 s of processor time
SCRATCH = WORK / "scan"
RESULTS = WORK / "policy"  # what it said, by plan and version: names and addresses, no values
KEPT = 20

NOWHERE = "http://127.0.0.1:9"  # the port that discards: nothing listens


def name() -> str:
    """Return the scanner's name and version."""
    return f"{TOOL.name} {TOOL.version}"


def findings(plan: dict[str, Any], plan_file: Path) -> list[Finding]:
    """Return what checkov has against what the plan leaves.

    Raises:
        KennelError: it could not be installed, or did not do its work.
    """
    SCRATCH.mkdir(mode=0o700, parents=True, exist_ok=True)
    sweep(SCRATCH)  # plans with their secrets, of scans that were killed
    if not plan.get("planned_values", {}).get("root_module"):
        return []  # nothing will be there
    digest = hashlib.sha256(plan_file.read_bytes()).hexdigest()
    results = RESULTS / f"{digest[:16]}-{TOOL.digest}.json"
    failed = files.read_json(results)
    if failed is None:
        failed = failed_checks(_run(plan))
        files.write_json(results, failed)
        for old in sorted(RESULTS.glob("*.json"), key=lambda each: each.stat().st_mtime)[:-KEPT]:
            old.unlink(missing_ok=True)
    changed = {one.address for one in resources(plan) if one.action in {"create", "update", "replace"}}
    return [_finding(each, changed) for each in failed]


def failed_checks(said: str) -> list[dict[str, str]]:
    """Return the failed checks in checkov's JSON: id, name and address of each.

    Raises:
        KennelError: it is not what checkov says when it has done its work.
    """
    try:
        parsed = json.loads(said)
        reports = parsed if isinstance(parsed, list) else [parsed]
        failed = []
        for report in reports:
            summary = report["summary"]
            if summary["parsing_errors"] or not summary["resource_count"]:
                raise _failed(
                    f"it read {summary['resource_count']} resources, with {summary['parsing_errors']} errors"
                )
            failed += [
                {
                    "id": each["check_id"],
                    "name": each["check_name"],
                    "address": each["resource_address"] or each["resource"],
                }
                for each in report["results"]["failed_checks"]
            ]
    except (ValueError, KeyError, TypeError) as error:
        raise _failed(f"what it printed is not its report: {said[:200]!r}") from error
    return sorted(failed, key=lambda each: (each["id"], each["address"]))


def _run(plan: dict[str, Any]) -> str:
    """Return what checkov prints of the plan. It reads a file: ours alone may read it too, and it goes again."""
    python = TOOL.ensure()
    with tempfile.TemporaryDirectory(prefix=PART, dir=SCRATCH) as folder:  # mode 0700
        file = Path(folder) / "plan.json"
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:  # noqa: PTH123
            json.dump(follow(plan), output)
        command = [
            str(python), "-W", "ignore", "-m", "checkov.main", "--file", str(file), "--framework", "terraform_plan",
            "--output", "json", "--quiet", "--compact", "--skip-download",
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise _failed(f"it was not done after {SECONDS} s") from error
    if done.returncode not in (0, 1):  # 1: checks failed
        last = done.stderr.strip().splitlines()[-1:] or ["it says nothing"]
        raise _failed(f"exit status {done.returncode}: {last[0][:300]}")
    return done.stdout


def environment(home: str) -> dict[str, str]:
    """Return all that checkov is given: no credentials, no settings of the person's, no way to the network."""
    proxies = {f"{kind}_proxy": NOWHERE for kind in ("http", "https", "all")}
    return {
        "PATH": os.defpath,
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        "LOG_LEVEL": "ERROR",
        "CKV_SKIP_PACKAGE_UPDATE_CHECK": "true",  # it asks PyPI for its latest version otherwise
        **proxies,
        **{kind.upper(): value for kind, value in proxies.items()},
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _finding(check: dict[str, str], changed: set[str]) -> Finding:
    asked = re.sub(r"^Ensure (that )?", "", check["name"]).rstrip(".")
    return Finding(
        check["id"],
        severity(check["id"]),
        check["address"],
        f"Not so: {asked}.",
        remedy(check["id"]) or "Correct it, or give a reason and a date in exceptions.toml.",
        name(),
        changed=check["address"] in changed,
    )


def _failed(received: str) -> KennelError:
    return KennelError(
        f"The plan is checked by {name()}, which did not do its work.", received, f"{WITHOUT}."
    )
