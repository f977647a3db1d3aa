"""Stop this SageMaker notebook instance when Jupyter has been idle for the minutes given as argument.

Runs on the instance, from cron, with the Python that is there: 3.7, and the standard library only. The instance's
role needs sagemaker:StopNotebookInstance on the instance itself.
"""

# ruff: noqa: UP017

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

JUPYTER = "https://localhost:8443/api/"
METADATA = Path("/opt/ml/metadata/resource-metadata.json")


def idle_since(sessions: list[dict[str, Any]], terminals: list[dict[str, Any]], booted: datetime) -> datetime:
    """When something last happened: now is a session at work, then the latest activity of any, then the boot."""
    kernels = [session["kernel"] for session in sessions if session.get("kernel")]
    if any(kernel["execution_state"] == "busy" for kernel in kernels):
        return datetime.now(timezone.utc)
    active = [
        datetime.fromisoformat(item["last_activity"].replace("Z", "+00:00"))
        for item in [*kernels, *terminals]
    ]
    return max([*active, booted])


def ask(what: str) -> list[dict[str, Any]]:
    """What Jupyter says of its sessions or terminals; its certificate is its own, and it is on this machine."""
    context = ssl._create_unverified_context()  # noqa: S323
    with urllib.request.urlopen(JUPYTER + what, timeout=10, context=context) as response:  # noqa: S310
        answer: list[dict[str, Any]] = json.load(response)
    return answer


def terminals() -> list[dict[str, Any]]:
    """What Jupyter says of its terminals: none where they are turned off, and their address is not found."""
    try:
        return ask("terminals")
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return []
        raise


def uptime_seconds() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])


def main() -> None:
    minutes = int(sys.argv[1])
    now = datetime.now(timezone.utc)
    idle = now - idle_since(ask("sessions"), terminals(), now - timedelta(seconds=uptime_seconds()))
    print(f"idle for {idle.total_seconds() / 60:.0f} of {minutes} minutes")
    if idle >= timedelta(minutes=minutes):
        name = json.loads(METADATA.read_text())["ResourceName"]
        subprocess.run(
            ["aws", "sagemaker", "stop-notebook-instance", "--notebook-instance-name", name], check=True
        )


if __name__ == "__main__":
    main()
