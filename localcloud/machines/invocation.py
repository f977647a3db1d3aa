"""One command on one instance: waits for the agent, runs as a process group, and tells how it went."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from moto.logs.models import logs_backends
from moto.s3.exceptions import S3ClientError
from moto.s3.models import s3_backends

from localcloud import logs
from localcloud.machines.machine import Machine
from localcloud.processes import Child, spawn

WORKERS = 5  # commands that an agent runs at a time; as AWS's does by default
PLUGIN = "aws:runShellScript"
PREEMPTED = 137  # the agent's exit code for a command that it ended
_FOLDER = "awsrunShellScript/0.awsrunShellScript"  # of its output, here and in S3
_INTERVAL = 0.05  # s
_GRACE = 3.0  # s from SIGTERM to SIGKILL when the machine goes down
_LAST_WORDS = 2.0  # s for output of processes that left the group
_TRUNCATED = "\n---Output truncated---"
_LOST = (
    "document process failed unexpectedly: document worker timed out , check "
    "[ssm-document-worker]/[ssm-session-worker] log for crash reason"
)


@dataclass(frozen=True)
class Script:
    """What is to be run, and where its output goes."""

    command_id: str
    lines: tuple[str, ...]
    working_directory: str
    execution_timeout: float  # s
    delivery_timeout: float  # s
    log_group: str | None  # None: not to CloudWatch Logs
    bucket: str  # "": not to S3
    key_prefix: str


class Invocation:
    def __init__(self, script: Script, machine: Machine) -> None:
        self.script, self.machine = script, machine
        self.started: float | None = None
        self.ended: float | None = None
        self.code = -1
        self._status, self._details = "Pending", "Pending"
        self._cancelled = threading.Event()
        self._boot = machine.boot  # in which it runs
        self._lost = False  # its machine went down with it
        self._output: dict[str, str] = {"stdout": "", "stderr": ""}
        self._folder = machine.disk.folder.joinpath(
            "var/lib/amazon/ssm", machine.id, "document/orchestration", script.command_id, _FOLDER
        )
        threading.Thread(target=self._live, name=f"command {script.command_id}", daemon=True).start()

    # -- what is told

    @property
    def status(self) -> tuple[str, str]:
        """Status and its details. What went down with its machine is told by the agent once it is back, or never."""
        if self._lost:
            if self.machine.is_online and self.machine.boot is not self._boot:
                self._output["stderr"] = _LOST
                self._finish("Failed", "Failed", 1)
            elif time.time() > (self.started or 0) + self.script.execution_timeout:
                self._finish("TimedOut", "ExecutionTimedOut", -1)
        return self._status, self._details

    @property
    def is_over(self) -> bool:
        return self.status[0] not in ("Pending", "InProgress", "Cancelling")

    def output(self, stream: str, limit: int) -> str:
        """Its beginning, once the command is over."""
        text = self._output[stream] if self.is_over else ""
        return text if len(text) <= limit else text[: limit - len(_TRUNCATED)] + _TRUNCATED

    def url(self, stream: str) -> str:
        if not self.script.bucket:
            return ""
        region = self.machine.ec2_backend.region_name
        return f"https://s3.{region}.amazonaws.com/{self.script.bucket}/{self._key(stream)}"

    def cancel(self) -> None:
        if not self.is_over:
            self._cancelled.set()
            if self._status == "InProgress":
                self._status = self._details = "Cancelling"

    # -- its life

    def _live(self) -> None:
        try:
            if self._delivered():
                try:
                    self._run()
                finally:
                    with self.machine.lock:
                        self._boot.commands -= 1
        except Exception as error:
            logs.log.exception("command %s on %s failed", self.script.command_id, self.machine.id)
            self._output["stderr"] = f"The embedded cloud failed at this command: {error!r}"
            self._finish("Failed", "Failed", 1)

    def _delivered(self) -> bool:
        """Wait until the agent takes it; else say why it never did."""
        deadline = time.monotonic() + self.script.delivery_timeout
        while True:
            if self._cancelled.is_set():
                self._finish("Cancelled", "Cancelled", -1)
            elif self.machine.state in ("shutting-down", "terminated"):
                self._finish("Failed", "Undeliverable", -1)
            elif time.monotonic() > deadline:
                self._finish("TimedOut", "DeliveryTimedOut", -1)
            elif self.machine.takes_commands and self._takes_a_place():
                return True
            else:
                self._cancelled.wait(_INTERVAL)
                continue
            return False

    def _takes_a_place(self) -> bool:
        with self.machine.lock:
            boot = self.machine.boot
            if boot.off.is_set() or boot.commands >= WORKERS:
                return False
            boot.commands += 1
            self._boot = boot
            return True

    def _run(self) -> None:
        self.started = time.time()
        self._status = self._details = "InProgress"
        own = self.machine.disk.own
        folder = self._folder
        folder.mkdir(parents=True)
        program = folder / "_script.sh"
        program.write_text(own("\n".join(self.script.lines)) + "\n", encoding="utf-8")
        program.chmod(0o700)
        directory = Path(own(self.script.working_directory)) if self.script.working_directory else folder
        if not directory.is_dir():
            self._output["stderr"] = f"chdir {self.script.working_directory}: no such file or directory"
            self._finish("Failed", "Failed", 1)
            return
        pipes = {stream: os.pipe() for stream in self._output}
        child = spawn(
            # Without exec, the shell would end at SIGTERM, and what it waits for with it, before a trap is over.
            ["/bin/sh", "-c", 'exec "$0"', str(program)],
            env=self.machine.environment(),
            cwd=directory,
            stdout=pipes["stdout"][1],
            stderr=pipes["stderr"][1],
            marked=True,
        )
        readers = [self._follow(stream, *pipe) for stream, pipe in pipes.items()]
        verdict = self._supervise(child)
        for reader in readers:
            reader.join(_LAST_WORDS)
        for stream in self._output:
            self._output[stream] = (folder / stream).read_text(encoding="utf-8", errors="replace")
        self._upload()
        if verdict is not None:
            self._finish(*verdict)

    def _supervise(self, child: Child) -> tuple[str, str, int] | None:
        """Status, details and exit code; None where the machine went down with the command."""
        deadline = time.monotonic() + self.script.execution_timeout
        while (code := child.wait(_INTERVAL)) is None:
            if self._boot.off.is_set():
                child.terminate(_GRACE)
                self._lost = True
                return None
            if self._cancelled.is_set():
                child.kill()
                return "Cancelled", "Cancelled", PREEMPTED
            if time.monotonic() > deadline:
                child.kill()
                return "TimedOut", "ExecutionTimedOut", PREEMPTED
        if code == 0:
            return "Success", "Success", 0
        return "Failed", "Failed", code if code > 0 else 128 - code

    def _finish(self, status: str, details: str, code: int) -> None:
        self._lost = False
        if status == "Failed" and self.started is not None and code > 0:
            self._output["stderr"] += f"failed to run commands: exit status {code}"
        self.code, self.ended = code, time.time()
        self._status, self._details = status, details

    # -- output

    def _follow(self, stream: str, reading: int, writing: int) -> threading.Thread:
        os.close(writing)
        copy = logs.Stream(
            self.machine.owner_id,
            self.machine.ec2_backend.region_name,
            self.script.log_group or "",
            f"{self.script.command_id}/{self.machine.id}/{PLUGIN.replace(':', '-')}/{stream}",
            returns=False,
        )
        to_logs = self.script.log_group is not None and self._may_log(copy)
        output = (self._folder / stream).open("wb")  # before anybody may ask for it

        def read(source: IO[bytes]) -> None:
            with source, output:
                while line := source.readline(logs.EVENT_BYTES):
                    output.write(line)
                    message = line.decode(errors="replace").rstrip("\r\n")
                    if to_logs and message:
                        copy.write([message])

        thread = threading.Thread(target=read, args=(os.fdopen(reading, "rb"),), name=stream, daemon=True)
        thread.start()
        return thread

    def _may_log(self, stream: logs.Stream) -> bool:
        """The agent looks for group and stream first, and writes nothing where it may not."""
        known = logs_backends[self.machine.owner_id][self.machine.ec2_backend.region_name].groups
        backend = self.machine.ec2_backend
        logs_arn = f"arn:{backend.partition}:logs:{backend.region_name}:{backend.account_id}:log-group"
        group = f"{logs_arn}:{stream.group}"
        return all(
            self.machine.may(f"logs:{action}", resource)
            for action, resource in (
                ("DescribeLogGroups", f"{logs_arn}::log-stream:"),
                ("DescribeLogStreams", f"{group}:log-stream:"),
                *([] if stream.group in known else [("CreateLogGroup", f"{group}:log-stream:")]),
                ("CreateLogStream", f"{group}:log-stream:{stream.name}"),
                ("PutLogEvents", f"{group}:log-stream:{stream.name}"),
            )
        )

    def _key(self, stream: str) -> str:
        prefix = f"{self.script.key_prefix}/" if self.script.key_prefix else ""
        return f"{prefix}{self.script.command_id}/{self.machine.id}/{_FOLDER}/{stream}"

    def _upload(self) -> None:
        """What fails here fails nothing, as on AWS."""
        if not self.script.bucket:
            return
        backend = self.machine.ec2_backend
        for stream, text in self._output.items():
            key = self._key(stream)
            resource = f"arn:{backend.partition}:s3:::{self.script.bucket}/{key}"
            if text and self.machine.may("s3:PutObject", resource):
                with contextlib.suppress(S3ClientError):
                    store = s3_backends[backend.account_id][backend.partition]
                    store.put_object(self.script.bucket, key, text.encode())
