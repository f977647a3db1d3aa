"""Plays one run: brings the project into its state, lets the task meet its faults, and judges what came of it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from bench.faulty import watch
from bench.faulty.grammar import KINDS, NEW_MODEL, NOTHING, Run
from bench.faulty.project import ATTACHED, PHOTOS, PLANNED, Broken, Outcome, Project

PANELS = ("endpoint", "function", "scaling", "jobs", "traffic")
JOB = ("--on", "sagemaker", "--instance-type", "ml.m5.large", "--max-runtime", "900")

_SECRETS = re.compile(
    r"\b(AKIA|ASIA)[A-Z0-9]{12,}|X-Amz-(Security-Token|Signature)=|-----BEGIN|aws_secret_access_key"
)
# Beside rule, received and remedy: tasks that tell what they found, and end with 1 where something is wrong with it.
_TOLD = {
    "doctor": r"^error +\S",
    "status": r"\S",
    "predict": r"photos got no answer",
    "predict folder": r"photos got no answer",
    "predict --bulk": r"photos got no answer",
    "load": r"(failed|errors|refused|report)",
}
BUSY_SECONDS = 300  # that a job of the smallest kind takes at most on a loaded machine
_MOST_SHOWN = 4000  # characters of an outcome in the record


@dataclass
class Result:
    run: Run
    verdict: str = ""  # "ok", "repaired", "FAILED"
    why: list[str] = field(default_factory=list)
    dealt: dict[str, int] = field(default_factory=dict)
    first: Outcome | None = None
    second: Outcome | None = None

    def to_dict(self, seed: int) -> dict[str, Any]:
        return {
            "run": self.run.number, "seed": seed, "task": self.run.task, "state": self.run.state,
            "rules": self.run.rules, "dealt": self.dealt, "verdict": self.verdict, "why": self.why,
            "first": _shown(self.first), "second": _shown(self.second),
        }  # fmt: skip


def play(project: Project, files: watch.Files, baseline: set[str], run: Run) -> Result:
    """Raises Broken where the project could not be brought into the state."""
    result = Result(run)
    kind = KINDS[run.task]
    project.bring(run.state, history=run.task == "rollback")
    command = _prepared(project, run)
    files.look()
    project.add(run.rules)
    try:
        result.first = _done(project, run, command)
    finally:
        result.dealt = project.clear()
    result.why += complaints(run.task, result.first)
    fine = PLANNED if run.task == "plan" else (0,)
    last = result.first
    if result.first.code not in fine:
        result.second = last = _again(project, run, command)
        if last.code not in fine:
            result.why.append(f"the same command does not come right without faults: {last.code}")
        result.why += complaints(run.task, last)
    result.why += files.lost() + watch.archives_that_are_not_whole(project.root)
    result.why += watch.uploads_that_are_not_whole(project)
    if last.code in fine:
        _settle(project, run, kind.changes)
    if run.task == "destroy" and last.code == 0:
        result.why += [f"left by destroy: {name}" for name in sorted(watch.inventory(project) - baseline)]
    result.verdict = "FAILED" if result.why else "ok" if result.second is None else "repaired"
    return result


def _prepared(project: Project, run: Run) -> list[str]:
    """Make ready what the task needs; return the command."""
    photos, settings = str(project.photos), ["--config", str(project.settings)]
    bucket = f"s3://{PHOTOS}/photos/"
    name = f"kennel-local-run-{run.number}"
    match run.task:
        case "train" | "evaluate" | "tune":
            project.forget_photos()
            more = ["--trials", "2", "--study", name] if run.task == "tune" else []
            return [run.task, "--data", bucket, *more, *([] if run.task == "evaluate" else settings)]
        case "train --on sagemaker":
            project.forget_uploads()
            return ["train", "--data", photos, *settings, *JOB]
        case "train --on ec2":
            project.forget_uploads()
            return ["train", "--data", photos, *settings, "--on", "ec2"]
        case "tune --on sagemaker":
            project.forget_uploads()
            return ["tune", "--data", photos, *settings, *JOB, "--trials", "2"]
        case "jobs --attach":
            _attachable(project)
            return ["jobs", "--attach", ATTACHED]
        case "jobs --stop":
            _start_job(project, name)
            return ["jobs", "--stop", name]
        case "predict":
            return ["predict", "--image", str(project.photos / "test" / "cat" / "0.png")]
        case "predict folder":
            return ["predict", "--image", str(project.photos / "test"), "--json"]
        case "predict --bulk":
            return ["predict", "--bulk", f"s3://{PHOTOS}/photos/test/", "--yes"]
    return {
        "up": ["up", "--data", photos],
        "jobs": ["jobs"],
        "plan": ["plan", "--force", "--no-scan"],
        "apply": ["apply", "--yes", "--force"],
        "rollback": ["rollback", "--yes"],
        "load": ["load", "--rate", "2", "--for", "3"],
        "console": ["console", "--no-browser", "--for", "300"],
        "simulate": ["simulate", "--traffic", "steady", "--hours", "1"],
        "image": ["image"],
        "status": ["status"],
        "doctor": ["doctor"],
        "destroy": ["destroy", "--yes"],
    }[run.task]


def _attachable(project: Project) -> None:
    """A job that is over, and whose results are not here."""
    jobs = project.client("sagemaker").list_training_jobs(NameContains=ATTACHED)["TrainingJobSummaries"]
    if not jobs:
        project.must(
            "train",
            "--data",
            str(project.photos),
            "--config",
            str(project.settings),
            *JOB,
            "--name",
            ATTACHED,
        )
    for told in (project.root / "runs").glob("*/job.json"):
        if ATTACHED in told.read_text():
            shutil.rmtree(told.parent)


def _start_job(project: Project, name: str) -> None:
    """One that would run for long; nobody follows it."""
    process = project.start(
        "train", "--data", str(project.photos), "--config", str(project.long_settings), *JOB, "--name", name
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if "Started the training job" in line:
            break
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=60)
    except subprocess.TimeoutExpired as error:
        ended = process.poll()
        process.kill()
        raise Broken(f"Ctrl-C did not end the following of a job within 60 s (exit code {ended})") from error
    if not any("Started" in line for line in said):
        raise Broken("no job to stop: " + "".join(said)[-2000:])


def _done(project: Project, run: Run, command: list[str]) -> Outcome:
    return _looked_at(project, command) if run.task == "console" else project.inv(*command)


def _again(project: Project, run: Run, command: list[str]) -> Outcome:
    """The command without faults. An instance may still have the job of the first time to end, and says so."""
    deadline = time.monotonic() + BUSY_SECONDS
    done = _done(project, run, command)
    while "runs one job at a time" in done.errors and time.monotonic() < deadline:
        time.sleep(2)
        done = _done(project, run, command)
    return done


def _looked_at(project: Project, command: list[str]) -> Outcome:
    """The console, whose panels are asked for; it counts as an error where one is not answered with JSON."""
    began = time.monotonic()
    process = project.start(*command)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    troubles = []
    try:
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        opener.open(address, timeout=60).close()
        base = address.partition("?")[0].rstrip("/")
        for _ in range(2):
            for panel in PANELS:
                troubles += _trouble(opener, f"{base}/api/{panel}")
    except (OSError, ValueError) as error:
        troubles.append(f"{address}: {error!r}")
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    code = process.returncode if process.returncode not in (0, 130) else int(bool(troubles))
    return Outcome(code, out, "\n".join([errors, *troubles]), time.monotonic() - began)


def _trouble(opener: urllib.request.OpenerDirector, address: str) -> list[str]:
    try:
        with opener.open(address, timeout=120) as answer:
            json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode(errors="replace")
        with contextlib.suppress(ValueError, KeyError, TypeError):
            told = json.loads(text)["error"]
            lines = f"error: {told['rule']}\nReceived: {told['received']}\nRemedy: {told['remedy']}"
            return [f"{address} says {error.code}\n{lines}"]
        return [f"{address}: {error.code} {text[:300]}"]
    except (OSError, ValueError) as error:
        return [f"{address}: {error!r}"]
    return []


def complaints(task: str, done: Outcome) -> list[str]:
    """What of a task's end a person could not make sense of."""
    text = done.out + done.errors
    found = []
    if "Traceback (most recent call last)" in text:
        found.append("a traceback")
    if secret := _SECRETS.search(text):
        found.append(f"a secret: {secret.group()[:12]}…")
    if done.code is None:
        found.append("it did not end in time")
    elif done.code < 0 or done.code > 3:
        found.append(f"exit code {done.code}")
    elif done.code == 1 and not (
        _is_clear(done.errors) or re.search(_TOLD.get(task, "(?!)"), text, re.MULTILINE)
    ):
        found.append("no clear error")
    return found


def _is_clear(errors: str) -> bool:
    """Rule, what was received, remedy, which findings on data have each beside it."""
    return all(word in errors for word in ("error: ", "Received: ")) and any(
        word in errors for word in ("Remedy: ", "    → ")
    )


def _settle(project: Project, run: Run, changes: bool) -> None:
    if run.task == "destroy":
        project.is_destroyed()
    elif changes:
        project.is_deployed()
    elif run.state == NEW_MODEL or run.state == NOTHING:
        pass
    else:
        project.choose(project.deployed or project.models[0])


def _shown(done: Outcome | None) -> dict[str, Any] | None:
    if done is None:
        return None
    return {
        "code": done.code, "seconds": round(done.seconds, 1),
        "out": done.out[-_MOST_SHOWN:], "errors": done.errors[-_MOST_SHOWN:],
    }  # fmt: skip
