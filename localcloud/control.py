"""Start, stop and find the embedded cloud: a background process known by cloud.json in its state folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from localcloud.clock import MAX_SPEED
from localcloud.errors import CloudError
from localcloud.process_identity import start_mark

LIFETIME = 43_200.0  # s; a forgotten cloud ends by itself
_START_DEADLINE = 60.0  # s
_STOP_DEADLINE = 15.0  # s until SIGKILL
_LOG_TAIL = 20  # lines
_SPEED = "LOCALCLOUD_SCALING_SPEED"
_AS_ROOT = (  # nobody looks at the signature: only this machine reaches these routes
    "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/localcloud/aws4_request, SignedHeaders=host, "
    "Signature=0"
)


@dataclass(frozen=True)
class CloudInfo:
    pid: int
    endpoint_url: str
    region: str
    account_id: str
    log_file: Path
    scaling_speed: float = 1.0
    insecure_url: str = ""  # the same cloud, as if asked without TLS


def start(
    state_dir: Path,
    *,
    images: Path | None = None,
    port: int = 0,
    lifetime: float = LIFETIME,
    scaling_speed: float | None = None,
) -> CloudInfo:
    """Return the cloud that runs on `state_dir`, started if there is none. It answers requests on return.

    A minute of scaling and alarms lasts 60 / `scaling_speed` seconds; None takes LOCALCLOUD_SCALING_SPEED, or 1.
    """
    speed = _speed(os.environ.get(_SPEED, "1") if scaling_speed is None else str(scaling_speed))
    state_dir = state_dir.resolve()
    state_dir.mkdir(parents=True, exist_ok=True)
    with _lock(state_dir):
        running = status(state_dir)
        if running is not None:
            if scaling_speed not in (None, running.scaling_speed):
                rule = "The embedded cloud keeps the speed of scaling that it was started with."
                remedy = "Stop it first; everything in it is gone then."
                raise CloudError(rule, f"{speed:g}, and it runs at {running.scaling_speed:g}", remedy)
            return running
        _info_file(state_dir).unlink(missing_ok=True)  # of a cloud that was killed
        return _launch(state_dir, images, port, lifetime, speed)


def stop(state_dir: Path) -> None:
    """End the cloud and all that runs in it; nothing happens when there is none."""
    state_dir = state_dir.resolve()
    if not state_dir.is_dir():
        return
    with _lock(state_dir):
        found = _read(state_dir)
        if found is not None:
            info, mark = found
            _end(info.pid, mark)
        _info_file(state_dir).unlink(missing_ok=True)


def status(state_dir: Path) -> CloudInfo | None:
    """The cloud that runs on `state_dir`, if one does."""
    found = _read(state_dir.resolve())
    if found is None:
        return None
    info, mark = found
    return info if _alive(info.pid, mark) else None


def interrupt(state_dir: Path, training_job: str, wait: float = 0.0) -> None:
    """Reclaim the spot instances of a training job. There are new ones after `wait` seconds."""
    running = status(state_dir)
    if running is None:
        raise CloudError("The embedded cloud must run.", "not running")
    body = json.dumps({"TrainingJobName": training_job, "WaitInSeconds": wait}).encode()
    request = urllib.request.Request(  # noqa: S310 - our own address
        f"{running.endpoint_url}/_localcloud/spot-interruption", data=body, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310
            pass
    except urllib.error.HTTPError as error:
        with error:
            raise CloudError("The job's spot instances must be there.", error.read().decode()) from error


def decisions(state_dir: Path, *, clear: bool = False) -> list[dict[str, Any]]:
    """What the cloud has decided on requests of users and roles, and by which statements; `clear` forgets it.

    Raises:
        CloudError: no cloud runs.
    """
    running = status(state_dir)
    if running is None:
        raise CloudError("The embedded cloud must run.", "not running", "Start it first.")
    request = urllib.request.Request(  # noqa: S310 - our own address
        f"{running.endpoint_url}/_localcloud/decisions",
        headers={"Authorization": _AS_ROOT},
        method="DELETE" if clear else "GET",
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        told: list[dict[str, Any]] = json.load(answer)
        return told


def faults(
    state_dir: Path, *, add: str | list[dict[str, Any]] | None = None, clear: bool = False
) -> dict[str, Any]:
    """The cloud's faults and what they have dealt out; `add`: rules, or their JSON, `clear` forgets all afterwards.

    Raises:
        CloudError: no cloud runs, or a rule is broken.
    """
    running = status(state_dir)
    if running is None:
        raise CloudError("The embedded cloud must run.", "not running", "Start it first.")
    if add is not None:
        _ask_for_faults(running, "POST", add if isinstance(add, str) else json.dumps(add))
    return _ask_for_faults(running, "DELETE" if clear else "GET")


def _ask_for_faults(running: CloudInfo, method: str, body: str | None = None) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - our own address
        f"{running.endpoint_url}/_localcloud/faults",
        data=None if body is None else body.encode(),
        headers={"Authorization": _AS_ROOT},
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            told: dict[str, Any] = json.load(answer)
            return told
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode()
        if error.code == HTTPStatus.BAD_REQUEST:
            raise CloudError(**json.loads(text)) from error
        raise CloudError("The embedded cloud takes faults from its root.", text) from error


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 1 <= speed <= MAX_SPEED:
        raise CloudError(f"{_SPEED} must be a number from 1 to {MAX_SPEED:g}.", text)
    return speed


def _launch(state_dir: Path, images: Path | None, port: int, lifetime: float, speed: float) -> CloudInfo:
    log_file = state_dir / "cloud.log"
    if log_file.exists():  # the last words of a cloud that was killed
        log_file.replace(log_file.with_name("cloud.log.1"))
    command = [sys.executable, "-m", "localcloud.server", "--state-dir", str(state_dir), "--port", str(port)]
    command += ["--lifetime", str(lifetime), "--log-file", str(log_file), "--scaling-speed", str(speed)]
    if images is not None:
        command += ["--images", str(images.resolve())]
    # The caller's credentials, profiles and endpoint are none of the cloud's business.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOTO_"))}
    source = str(Path(__file__).resolve().parents[1])
    search_path = os.pathsep.join(filter(None, [source, kept.get("PYTHONPATH")]))
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**kept, "PYTHONPATH": search_path},
        )
    deadline = time.monotonic() + _START_DEADLINE
    while time.monotonic() < deadline:
        info = status(state_dir)
        if info is not None and info.pid == process.pid:
            process.returncode = 0  # it outlives us on purpose: keeps Popen from warning about that
            return info
        if process.poll() is not None:
            received = f"exit code {process.returncode}\n{_tail(log_file)}"
            raise CloudError("The embedded cloud must start.", received, f"See {log_file}.")
        time.sleep(0.02)
    process.kill()
    process.wait()
    rule = f"The embedded cloud must be ready within {_START_DEADLINE:.0f} s."
    raise CloudError(rule, _tail(log_file), f"See {log_file}.")


def _end(pid: int, mark: str) -> None:
    for number, seconds in ((signal.SIGTERM, _STOP_DEADLINE), (signal.SIGKILL, _STOP_DEADLINE)):
        if not _alive(pid, mark):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while _alive(pid, mark):
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
    if _alive(pid, mark):
        raise CloudError("The embedded cloud must end when it is killed.", f"process {pid} is still there")


def _alive(pid: int, mark: str) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # when it is our own child: take it off the process table
    return start_mark(pid) == mark


def _read(state_dir: Path) -> tuple[CloudInfo, str] | None:
    try:
        document = json.loads(_info_file(state_dir).read_text(encoding="utf-8"))
        mark = document.pop("start_mark")
        document["log_file"] = Path(document["log_file"])
        return CloudInfo(**document), mark
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        path = _info_file(state_dir)
        raise CloudError(
            "cloud.json must be as the cloud wrote it.", f"{path}: {error}", "Delete it if no cloud runs."
        ) from error


def _info_file(state_dir: Path) -> Path:
    return state_dir / "cloud.json"


def _tail(log_file: Path) -> str:
    lines = log_file.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-_LOG_TAIL:]) or "(the log is empty)"


@contextlib.contextmanager
def _lock(state_dir: Path) -> Iterator[None]:
    """One start or stop at a time; the kernel drops the lock when its holder dies."""
    with (state_dir / "cloud.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
