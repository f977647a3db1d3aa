"""Runs the terraform program for a stage and reads what it says.

Its output goes to a file that is followed, never through a pipe: when the task is killed, Terraform then goes on
to the end and saves its state, and the file tells the next task what was made.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.process_identity import start_mark
from ml.errors import KennelError
from ops import files, outage, provider_mirror
from ops.paths import TERRAFORM, WORK
from ops.review.redact import scrub, scrubber
from ops.stage import Stage

MINIMUM_VERSION = (1, 11)
POLL_SECONDS = 0.1
OURS_ALONE = 0o077  # umask: plans and states hold what is secret
LEFT_LOCKED = (
    "Error releasing the state lock"  # Terraform's words where the cloud refuses to take its lock away
)
SECONDS_TO_STOP = 20  # what Terraform gets to save its state, once the cloud has gone from under it

Event = dict[str, Any]  # a line of `terraform … -json`
Listener = Callable[[Event], None]


class TerraformError(KennelError):
    """Terraform ended with an error; `diagnostics` are its own, (summary, detail) each."""

    def __init__(self, command: str, diagnostics: list[tuple[str, str]], remedy: str) -> None:
        self.diagnostics = diagnostics = [(scrub(summary), scrub(detail)) for summary, detail in diagnostics]
        shown_first = "\n\n".join(f"{summary}\n{detail}".strip() for summary, detail in diagnostics[:5])
        more = f"\n\nand {len(diagnostics) - 5} more" if len(diagnostics) > 5 else ""
        super().__init__(f"terraform {command} did not succeed.", f"\n{shown_first}{more}\n", remedy)


@dataclass(frozen=True)
class Running:
    """A terraform process, as recorded on disk by the task that started it."""

    pid: int
    started: str  # tells a reused process id from ours
    command: str

    @property
    def is_alive(self) -> bool:
        return start_mark(self.pid) == self.started


def version() -> tuple[int, ...]:
    """Return the version of the terraform on the PATH.

    Raises:
        KennelError: there is none, or it is too old.
    """
    remedy = "Install Terraform 1.11 or newer: https://developer.hashicorp.com/terraform/install"
    if shutil.which("terraform") is None:
        raise KennelError("The program terraform is on the PATH.", "none found", remedy)
    environment = {**os.environ, "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"}
    text = subprocess.run(
        ["terraform", "version"], env=environment, capture_output=True, text=True, check=False
    ).stdout
    found = re.search(r"v(\d+)\.(\d+)\.(\d+)", text)
    numbers = tuple(int(number) for number in found.groups()) if found else ()
    if numbers < MINIMUM_VERSION:
        raise KennelError(
            "terraform is version 1.11 or newer.", found.group() if found else text[:80], remedy
        )
    return numbers


def cli_environment(environment: Mapping[str, str], mirror: Path | None) -> dict[str, str]:
    """Return the environment with a CLI configuration that exists and knows the provider mirror."""
    text = provider_mirror.cli_configuration(
        provider_mirror.find(mirror, environment),
        provider_mirror.users_configuration(environment),
        explicit=mirror is not None,
    )
    file = WORK / "terraform.rc"
    if not file.is_file() or file.read_text() != text:
        files.write(file, text)
    return {
        **environment,
        "TF_CLI_CONFIG_FILE": str(file),
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
    }


class Terraform:
    """Terraform in one directory for one stage."""

    def __init__(
        self, stage: Stage, *, directory: Path = TERRAFORM, backend: Mapping[str, str] | None = None
    ) -> None:
        self.stage = stage
        self.directory = directory
        self.backend = backend
        self.data = stage.directory / directory.name
        self.log = stage.directory / "terraform.jsonl"
        self.record = stage.directory / "terraform.running.json"
        self.errored_state = stage.directory / "errored.tfstate"
        self.last_exit = 0
        self.interrupted = False  # by a person, while it was at work

    @property
    def environment(self) -> dict[str, str]:
        base = cli_environment(self.stage.environment, self.stage.settings.provider_mirror)
        return base | {"TF_DATA_DIR": str(self.data)}

    @property
    def mark(self) -> str:
        """What its processes, and those of no other stage and directory, have in their environment."""
        return f"TF_DATA_DIR={self.data}"

    def init(self) -> None:
        """Make the directory ready; nothing is done when nothing that matters has changed."""
        backend = [f"-backend-config={name}={value}" for name, value in (self.backend or {}).items()]
        sources = [*sorted(TERRAFORM.rglob("*.tf")), self.directory / ".terraform.lock.hcl"]
        digest = hashlib.sha256(
            repr(backend).encode() + b"".join(p.read_bytes() for p in sources)
        ).hexdigest()
        stamp = self.data / "initialized"
        if stamp.is_file() and stamp.read_text() == digest:
            return
        self.data.mkdir(parents=True, exist_ok=True)
        self._plain("init", "-input=false", "-reconfigure", "-lockfile=readonly", *backend)
        stamp.write_text(digest)

    def plan(self, out: Path, variables: list[str], listener: Listener) -> bool:
        """Save a plan; return whether it changes anything."""
        self._follow(
            ["plan", "-json", "-input=false", "-detailed-exitcode", f"-out={out}", *variables], listener
        )
        return self.last_exit == 2

    def apply(self, plan: Path, listener: Listener) -> None:
        """Apply the saved plan."""
        self._follow(["apply", "-json", "-input=false", str(plan)], listener)

    def apply_directly(self, variables: list[str], listener: Listener, *, destroy: bool = False) -> None:
        """Plan and apply in one go, for what nobody reviews: the state bucket, and a confirmed destroy."""
        mode = ["-destroy"] if destroy else []
        self._follow(["apply", "-json", "-input=false", "-auto-approve", *mode, *variables], listener)

    def show(self, plan: Path) -> dict[str, Any]:
        """Return the saved plan as Terraform's JSON."""
        shown_plan: dict[str, Any] = json.loads(self._plain("show", "-json", str(plan)))
        return shown_plan

    def show_text(self, plan: Path) -> str:
        """Return the saved plan in Terraform's own words."""
        return self._plain("show", "-no-color", str(plan))

    def outputs(self) -> dict[str, Any]:
        """Return the outputs of the last apply by name; empty before the first."""
        return {name: entry["value"] for name, entry in json.loads(self._plain("output", "-json")).items()}

    def state(self) -> dict[str, Any]:
        """Return the state as stored; empty before the first apply."""
        state: dict[str, Any] = json.loads(self._plain("state", "pull") or "{}")
        return state

    def forget(self, prefixes: Iterable[str]) -> None:
        """Take what lies below these addresses out of the state, and leave it in the cloud."""
        if not self.state().get("resources"):
            return  # also where only a plan was made: what is pulled then is no file to others
        known = [line for line in self._plain("state", "list").split() if line.startswith(tuple(prefixes))]
        if known:
            self._plain("state", "rm", *known)

    def untaint(self, address: str) -> None:
        """Keep what was made, though the cloud failed when it was looked at: it would be made anew otherwise."""
        kind, _, name = address.partition(".")
        for resource in self.state().get("resources", []):
            tainted = any(instance.get("status") == "tainted" for instance in resource["instances"])
            if tainted and (resource["type"], resource["name"]) == (kind, name):
                self._plain("untaint", address)

    def push_state(self, file: Path) -> None:
        """Store a state that could not be stored before; Terraform refuses one older than what is there."""
        self._plain("state", "push", str(file))
        file.unlink()

    def unlock(self, lock_id: str) -> None:
        """Remove a state lock that nobody holds any more."""
        self._plain("force-unlock", "-force", lock_id)

    def running(self) -> Running | None:
        """Return the terraform of an earlier task that did not end by itself: still at work, or killed."""
        recorded = files.read_json(self.record)
        return Running(**recorded) if recorded else None

    def _plain(self, *arguments: str) -> str:
        done = subprocess.run(
            ["terraform", *arguments], cwd=self.directory, env=self.environment,
            capture_output=True, text=True, check=False, start_new_session=True, umask=OURS_ALONE,
        )  # fmt: skip
        if done.returncode != 0:
            text = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr or done.stdout)
            text = "\n".join(line.strip("╷│╵ ") for line in text.splitlines()).strip()
            if LEFT_LOCKED in text:
                self._note(os.getpid(), "", arguments[0])
            raise TerraformError(arguments[0], [("", text)], _remedy(text))
        return done.stdout

    def _follow(self, arguments: list[str], listener: Listener) -> None:
        """Run terraform with JSON output, give each event to the listener, raise when it fails."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        diagnostics: list[tuple[str, str]] = []
        self.log.unlink(missing_ok=True)
        with open(self.log, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as log:
            process = subprocess.Popen(
                ["terraform", *arguments], cwd=self.directory, env=self.environment,
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
                umask=OURS_ALONE,
            )  # fmt: skip
        self._note(process.pid, start_mark(process.pid) or "", arguments[0])

        def handle(event: Event) -> None:
            if event.get("type") == "diagnostic" and event["diagnostic"]["severity"] == "error":
                diagnostic = event["diagnostic"]
                where = f"{diagnostic['address']}: " if diagnostic.get("address") else ""
                diagnostics.append((where + diagnostic["summary"], diagnostic.get("detail", "")))
            listener(event)

        self._wait(process, handle)
        self._scrub_log()
        if process.returncode >= 0 and not any(LEFT_LOCKED in summary for summary, _ in diagnostics):
            self.record.unlink(missing_ok=True)  # not killed, and its lock is released
        self.last_exit = process.returncode
        if self.last_exit not in ((0, 2) if arguments[0] == "plan" else (0,)):
            self._save_errored_state()
            if not self.stage.is_running:
                diagnostics.insert(0, ("The embedded cloud ended while Terraform was at work.", ""))
            text = "\n".join(f"{summary} {detail}" for summary, detail in diagnostics)
            last = self.log.read_text()[-600:] if not diagnostics else ""
            raise TerraformError(arguments[0], diagnostics or [("", last)], _remedy(text))

    def _note(self, pid: int, started: str, command: str) -> None:
        """Say on disk that a terraform is at work, or, where it has ended, that it may have left its lock."""
        files.write_json(self.record, {"pid": pid, "started": started, "command": command})

    def _wait(self, process: subprocess.Popen[bytes], handle: Listener) -> None:
        """Hand over the events of the log while the process writes it, until it has ended."""
        asked_to_stop: float | None = None
        next_look = time.monotonic() + 1
        rest = ""
        with self.log.open() as log:
            while True:
                try:
                    ended = process.poll() is not None
                    rest += log.read()
                    while "\n" in rest:
                        line, _, rest = rest.partition("\n")
                        with contextlib.suppress(
                            json.JSONDecodeError
                        ):  # terraform's warnings may be plain text
                            handle(json.loads(line))
                    if ended:
                        return
                    now = time.monotonic()
                    if asked_to_stop is None and now > next_look:
                        next_look = now + 1
                        if not self.stage.is_running:
                            process.send_signal(signal.SIGINT)
                            asked_to_stop = now
                    if asked_to_stop is not None and now > asked_to_stop + SECONDS_TO_STOP:
                        process.kill()
                    time.sleep(POLL_SECONDS)
                except KeyboardInterrupt:
                    self.interrupted = True
                    process.send_signal(
                        signal.SIGINT
                    )  # once: it finishes what it is at and saves; twice: it stops
                    print("\nStopping when the current operations have ended; Ctrl-C again stops at once.")

    def _scrub_log(self) -> None:
        """Leave no secret in the log; while Terraform writes it, nobody else may read it."""
        clean = scrubber()
        text = "".join(clean(line) for line in self.log.read_text().splitlines(keepends=True))
        with self.log.open("r+") as log:  # keeps its mode
            log.write(text)
            log.truncate()

    def _save_errored_state(self) -> None:
        """Move a state that Terraform could not store out of the source tree, where it leaves it."""
        errored = self.directory / "errored.tfstate"
        if errored.is_file():
            errored.replace(self.errored_state)


def _remedy(text: str) -> str:
    if LEFT_LOCKED in text:
        return "Run the same command again: it takes away the lock that was left, and goes on from here."
    if "state lock" in text:
        return "Another run holds the lock, as its info says: wait for it, then run the same command again."
    if "Failed to query available provider packages" in text or "Could not retrieve" in text:
        return (
            "Terraform's registry cannot be reached: go online, or name a directory that holds "
            f"{provider_mirror.PROVIDER} in KENNEL_PROVIDER_MIRROR."
        )
    if "onnection refused" in text or "embedded cloud ended" in text:
        return "./inv plan starts the embedded cloud again and says what it finds."
    return (
        outage.remedy_in(text)
        or "Correct what it names, then run the same command again: it goes on from here."
    )
