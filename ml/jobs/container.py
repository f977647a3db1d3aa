"""What a training container runs, on SageMaker and wherever folders are laid out alike: `python -m ml.jobs.container`.

Reads what the job was told from /opt/ml/input, trains with all processes of all instances, and leaves on the first
instance the deployable model in model/, the run's other files in output/data/, and on any instance that fails the
reason in output/failure.
"""

from __future__ import annotations

import collections
import hashlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml import artifact
from ml.config import TrainConfig
from ml.data.archive import is_archive
from ml.errors import KennelError
from ml.jobs.worker import Spec

PORT = 7777
DIGESTS = "model.sha256"  # of the deployable files, as sha256sum writes them
RUN = "run.json"  # how the run is named
_TUNED_BY = "_tuning_objective_metric"  # SageMaker adds it to a tuning job's trials
_MAX_FAILURE = 1024  # characters that SageMaker shows of output/failure
_RESOLVE_SECONDS = 300  # until the first instance's name is known to the others
_ERROR = re.compile(r"(?:\[rank\d+\]: *)?([\w.]*(?:Error|Exception|Exit)\b.*)")


class ContainerError(KennelError):
    """The container was told something wrong, or its training ended badly."""


@dataclass(frozen=True)
class Place:
    """This instance among those of the job."""

    hosts: tuple[str, ...]
    current: str
    interface: str | None  # network interface that the instances talk over
    processes: int  # on each instance
    master: tuple[str, int]

    @property
    def rank(self) -> int:
        return self.hosts.index(self.current)


def read(base: Path, environment: Mapping[str, str]) -> tuple[Spec, Place]:
    """Return what is to be trained, and where this instance stands.

    Raises:
        KennelError: a hyperparameter, or the environment, breaks a rule.
    """
    told = {
        name: _parsed(text)
        for name, text in _json(base, "hyperparameters").items()
        if not name.startswith("_")
    }
    is_trial = _TUNED_BY in _json(base, "hyperparameters")
    for channel, setting in (("data", "data"), ("weights", "weights")):
        folder = base / "input" / "data" / channel
        if folder.is_dir():
            told[setting] = str(_only_file(folder) or folder)
    config = TrainConfig.from_dict(told)
    # Trials share their job's checkpoint location, and jobs may: features may be shared, states of training may not.
    kept = base / "checkpoints"
    own = environment.get("TRAINING_JOB_NAME", "") if is_trial else f"training/{_digest(config)}"
    checkpoints = kept / own
    has_checkpoints = kept.is_dir()
    spec = Spec(
        config,
        runs_dir=base / "runs",
        work_dir=kept / "work" if has_checkpoints else base / "work",
        checkpoints=checkpoints if has_checkpoints else None,
        resume=has_checkpoints,
        result=base / "result.json",
        subject=environment.get("TRAINING_JOB_NAME"),
    )
    resources = _json(base, "resourceconfig")
    hosts = tuple(resources["hosts"])
    return spec, Place(
        hosts,
        resources["current_host"],
        resources.get("network_interface_name"),
        _integer(environment, "KENNEL_PROCESSES", 0, 1024) or _gpus(config) or 1,
        (
            environment.get("MASTER_ADDR") or hosts[0],
            _integer(environment, "MASTER_PORT", PORT, 65535),
        ),
    )


def train(spec: Spec, place: Place, folder: Path) -> None:
    """Run the workers of this instance to their end.

    Raises:
        ContainerError: they fail.
        SystemExit: the container was told to stop; its training goes on from its checkpoints when it is started again.
    """
    for path in (spec.runs_dir, spec.work_dir, *([spec.checkpoints] if spec.checkpoints else [])):
        path.mkdir(parents=True, exist_ok=True)
    spec.result.unlink(missing_ok=True)
    spec_file = folder / "spec.json"
    spec.write(spec_file)
    if len(place.hosts) > 1:
        _resolve(place.master[0])
    process = subprocess.Popen(
        command(place, spec_file), env=_workers_environment(place), stderr=subprocess.PIPE, text=True
    )
    stopped: list[int] = []

    def stop(number: int, _: object) -> None:
        stopped.append(number)
        process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)  # for good: who is told to stop later still delivers the run
    last_lines: collections.deque[str] = collections.deque(maxlen=50)
    reader = threading.Thread(target=_pass_on, args=(process, last_lines), daemon=True)
    reader.start()
    code = process.wait()
    reader.join(5)
    if stopped:
        raise SystemExit(128 + stopped[0])
    if code != 0:
        raise _failure(spec, code, last_lines)


def command(place: Place, spec_file: Path) -> list[str]:
    """Return how the workers are started: alone, or by torchrun."""
    worker = ["-m", "ml.jobs.worker", str(spec_file)]
    if len(place.hosts) * place.processes == 1:
        return [sys.executable, *worker]
    return [
        sys.executable, "-m", "ml.launch",
        f"--nnodes={len(place.hosts)}", f"--node-rank={place.rank}", f"--nproc-per-node={place.processes}",
        f"--master-addr={place.master[0]}", f"--master-port={place.master[1]}", *worker,
    ]  # fmt: skip


def deliver(spec: Spec, base: Path) -> None:
    """Put the finished run where SageMaker takes it from."""
    result = json.loads(spec.result.read_text("utf-8"))
    run_dir, model, output = Path(result["run_dir"]), base / "model", base / "output" / "data"
    model.mkdir(parents=True, exist_ok=True)
    output.mkdir(parents=True, exist_ok=True)
    with tarfile.open(result["archive"], "r:gz") as archive:
        names = sorted(archive.getnames())
        archive.extractall(model, filter="data")
    digests = [f"{artifact.sha256_of(model / name)}  {name}\n" for name in names]
    (output / DIGESTS).write_text("".join(digests), "utf-8")
    for path in sorted(run_dir.iterdir()):
        if path.name not in (artifact.ARCHIVE, artifact.RUN_WEIGHTS):  # the same bytes are in model/
            shutil.copyfile(path, output / path.name)
    (output / RUN).write_text(json.dumps({"run": run_dir.name}) + "\n", "utf-8")


def main() -> None:
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR") or "/opt/ml")
    try:
        spec, place = read(base, os.environ)
        print(
            f"instance {place.rank + 1} of {len(place.hosts)}, {place.processes} process(es) on each",
            flush=True,
        )
        train(spec, place, base)
        if place.rank == 0:
            deliver(spec, base)
    except KennelError as error:
        _tell(base, str(error))
        sys.exit(f"error: {error}")
    except Exception as error:
        _tell(base, f"{type(error).__name__}: {error}")
        raise


def _tell(base: Path, failure: str) -> None:
    """Leave the reason where SageMaker looks for it."""
    path = base / "output" / "failure"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(failure[:_MAX_FAILURE], "utf-8")


def _failure(spec: Spec, code: int, last_lines: collections.deque[str]) -> KennelError:
    if spec.result.is_file():
        error = json.loads(spec.result.read_text("utf-8")).get("error")
        if error:
            return ContainerError(error["rule"], error["received"], error["remedy"])
    reasons = [match[1] for line in last_lines if (match := _ERROR.match(line.strip()))]
    why = reasons[0] if reasons else (last_lines[-1].strip() if last_lines else "no word of it")
    killed = " (killed: mostly for want of memory)" if code in (-signal.SIGKILL, 128 + signal.SIGKILL) else ""
    return ContainerError(
        "Training ends with a model.",
        f"exit code {code}{killed}: {why}",
        "The job's log has the whole story. Too little memory: a larger instance type, or a smaller batch_size.",
    )


def _pass_on(process: subprocess.Popen[str], last_lines: collections.deque[str]) -> None:
    if process.stderr is None:
        return
    with process.stderr as stream:
        for line in stream:
            sys.stderr.write(line)
            sys.stderr.flush()
            last_lines.append(line)


def _workers_environment(place: Place) -> dict[str, str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if place.interface and len(place.hosts) > 1:
        environment |= {"GLOO_SOCKET_IFNAME": place.interface, "NCCL_SOCKET_IFNAME": place.interface}
    if place.processes > 1:  # torchrun would give each a single thread
        threads = max(1, (os.cpu_count() or 1) // place.processes)
        environment.setdefault("OMP_NUM_THREADS", str(threads))
    return environment


def _resolve(host: str) -> None:
    """Wait for the first instance's name: instances come up at different times."""
    deadline = time.monotonic() + _RESOLVE_SECONDS
    while True:
        try:
            socket.gethostbyname(host)
        except OSError as error:
            if time.monotonic() > deadline:
                raise ContainerError(
                    "Instances of a job know each other by name",
                    f"{host}: {error}",
                    "check that the security group lets its members talk to each other",
                ) from error
            time.sleep(1)
        else:
            return


def _only_file(folder: Path) -> Path | None:
    """The one file that a channel consists of: an archive of photos, weights."""
    files = list(itertools.islice((path for path in folder.rglob("*") if path.is_file()), 2))
    is_one = len(files) == 1 and (is_archive(files[0]) or files[0].suffix in (".safetensors", ".pth", ".pt"))
    return files[0] if is_one else None


def _json(base: Path, name: str) -> dict[str, Any]:
    path = base / "input" / "config" / f"{name}.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ContainerError(
            f"A training container is told its {name} in {path}.", error, "Start it as a training job."
        ) from error
    return content


def _digest(config: TrainConfig) -> str:
    """Of the settings whose training can go on."""
    settings = {name: value for name, value in config.portable().items() if name != "device"}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _parsed(text: str) -> Any:
    """SageMaker takes texts alone: ours are JSON, those that it fills in when it tunes are plain."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _integer(environment: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = environment.get(name)
    if not text:
        return default
    if not text.isdecimal() or int(text) > most:
        raise ContainerError(f"{name} is a whole number up to {most}.", text, f"Correct or remove {name}.")
    return int(text)


def _gpus(config: TrainConfig) -> int:
    # Without torch, which takes seconds to import.
    devices = [path for path in Path("/dev").glob("nvidia*") if path.name.removeprefix("nvidia").isdecimal()]
    return 0 if config.device == "cpu" else len(devices)


if __name__ == "__main__":
    main()
