"""Shows a job while it runs: its states, its log, its epochs or trials. The job does not need to be watched."""

from __future__ import annotations

import collections
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from tqdm import tqdm

from ml import metric_lines
from ml.errors import KennelError
from ops import outage
from ops.jobs.logs import Line, Logs
from ops.jobs.request import LOG_GROUP
from ops.stage import Stage

Say = Callable[[str], None]
T = TypeVar("T")

OVER = frozenset({"Completed", "Failed", "Stopped"})
_SHOWN_LINES = 15  # of the log, with a failure
_QUIET_ROUNDS = 2  # the log comes a little later than the job's end
_LONGEST_PAUSE = 60.0  # seconds between polls of a service that is throttling
_PATIENCE = 600.0  # seconds for which it may be unreachable


class JobError(KennelError):
    """A job did not end well."""


class Detached(KennelError):
    """The person looks away; the job goes on."""

    def __init__(self, stage: Stage, name: str) -> None:
        super().__init__(
            f"The job {name} does not need to be watched.",
            None,
            f"{command(stage, 'attach', name)} comes back to it; {command(stage, 'stop', name)} ends it.",
        )


@contextmanager
def detachable(stage: Stage, name: str) -> Iterator[None]:
    """From the job's start until what it leaves is here: the same command again would start another one."""
    try:
        yield
    except KeyboardInterrupt:
        raise Detached(stage, name) from None


def command(stage: Stage, what: str, name: str) -> str:
    """How to do something with the job."""
    return f"./inv jobs --{what} {name} --stage {stage.name}"


def follow(
    stage: Stage, name: str, say: Say, *, progress: bool = True, interval: float = 2.0
) -> dict[str, Any]:
    """Show the training or tuning job until it is over; return its final description.

    Raises:
        JobError: it fails or is stopped, or there is none of the name.
        Detached: Ctrl-C.
    """
    client = stage.client("sagemaker")
    view: View = _Training(client, stage.client("logs"), name, say, progress=progress)
    try:
        if _patiently(view.describe, view.say) is None:
            view.close()
            view = _Tuning(client, name, say, progress=progress)
            if _patiently(view.describe, view.say) is None:
                raise JobError("A job to follow exists.", name, "./inv jobs lists them.")
        return watch(view, interval)
    except KeyboardInterrupt:
        raise Detached(stage, name) from None
    finally:
        view.close()


class View:
    """What is known and shown of a job."""

    status_key = "TrainingJobStatus"
    keeps_what_it_has = False  # what a job leaves counts, however it ends

    def __init__(self, name: str, say: Say, *, progress: bool, unit: str) -> None:
        self.name = name
        self._say = say
        self._bar = tqdm(
            desc=f"{unit}s",
            unit=unit,
            file=sys.stderr,
            ncols=79,
            leave=False,
            disable=None if progress else True,
        )

    def describe(self) -> dict[str, Any] | None:
        """None where there is no such job."""
        raise NotImplementedError

    def show(self, description: dict[str, Any]) -> int:
        """Say what is new; return how much that was."""
        raise NotImplementedError

    def last_words(self) -> str:
        return ""

    def say(self, text: str) -> None:
        with tqdm.external_write_mode(file=sys.stdout):
            self._say(text)

    def close(self) -> None:
        self._bar.close()


class LogView(View):
    """Of a job that trains, and logs as it does."""

    def __init__(self, logs: Logs, name: str, say: Say, *, progress: bool) -> None:
        super().__init__(name, say, progress=progress, unit="epoch")
        self._logs = logs
        self._last: collections.deque[str] = collections.deque(maxlen=_SHOWN_LINES)

    def show_lines(self) -> int:
        """Say what has been logged since; return how many lines."""
        lines = self._logs.fresh()
        for line in lines:
            self._show_line(line)
        return len(lines)

    def last_words(self) -> str:
        return "\n".join(self._last)

    def _show_line(self, line: Line) -> None:
        self._last.append(line.text)
        self.say(f"{line.host}: {line.text}" if len(self._logs.hosts) > 1 else line.text)
        epoch = metric_lines.parse(line.text)
        if epoch is not None:
            number, total, measures = epoch
            self._bar.total, self._bar.n = total, number
            if "best_valid_loss" in measures:
                self._bar.set_postfix_str(f"valid loss {measures['best_valid_loss']:.4f}")
            self._bar.refresh()


class _Training(LogView):
    def __init__(self, client: Any, logs: Any, name: str, say: Say, *, progress: bool) -> None:
        super().__init__(Logs(logs, LOG_GROUP, name), name, say, progress=progress)
        self._client = client
        self._states = 0
        self._billed = False

    def describe(self) -> dict[str, Any] | None:
        return _or_none(lambda: self._client.describe_training_job(TrainingJobName=self.name))

    def show(self, description: dict[str, Any]) -> int:
        lines = self.show_lines()
        transitions = description.get("SecondaryStatusTransitions", [])
        for entry in transitions[self._states :]:
            self._bar.set_description_str(entry["Status"])
            self.say(
                f"{entry['StartTime']:%H:%M:%S} {entry['Status']}: {entry.get('StatusMessage', '')}".rstrip(
                    ": "
                )
            )
        self._states = len(transitions)
        if description["TrainingJobStatus"] == "Completed" and not self._billed:
            self._billed = True
            self._say_cost(description)
        return lines

    def _say_cost(self, description: dict[str, Any]) -> None:
        trained, billed = (description.get(f"{what}TimeInSeconds") for what in ("Training", "Billable"))
        if trained and billed:
            instances = description["ResourceConfig"]["InstanceCount"]
            saved = f", {1 - billed / trained:.0%} saved by spot" if billed < trained else ""
            self.say(f"Billed: {billed} s of {trained} s on {instances} instance(s){saved}.")


class _Tuning(View):
    status_key = "HyperParameterTuningJobStatus"

    def __init__(self, client: Any, name: str, say: Say, *, progress: bool) -> None:
        super().__init__(name, say, progress=progress, unit="trial")
        self._client = client
        self._shown: dict[str, str] = {}  # trials by name, with the status that was said
        self._rows = 0

    def describe(self) -> dict[str, Any] | None:
        return _or_none(
            lambda: self._client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=self.name)
        )

    def show(self, description: dict[str, Any]) -> int:
        news = 0
        pages = self._client.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
            HyperParameterTuningJobName=self.name, SortBy="CreationTime", SortOrder="Ascending"
        )
        for page in pages:
            for trial in page["TrainingJobSummaries"]:
                if self._shown.get(trial["TrainingJobName"]) != trial["TrainingJobStatus"]:
                    self._shown[trial["TrainingJobName"]] = trial["TrainingJobStatus"]
                    self._show_trial(trial)
                    news += 1
        limits = description["HyperParameterTuningJobConfig"]["ResourceLimits"]
        counters = description["TrainingJobStatusCounters"]
        running = counters.get("InProgress", 0)
        self._bar.total = limits.get("MaxNumberOfTrainingJobs")
        self._bar.n = sum(self._shown[trial] in OVER for trial in self._shown)
        best = _objective(description.get("BestTrainingJob", {}))
        self._bar.set_postfix_str(f"{running} running" + (f", best {best:.4f}" if best is not None else ""))
        return news

    def _show_trial(self, trial: dict[str, Any]) -> None:
        loss = _objective(trial)
        settings = trial.get("TunedHyperParameters", {})
        row = [
            f"{self._number(trial['TrainingJobName']):>5}",
            f"{trial['TrainingJobStatus']:<10}",
            f"{loss:>8.4f}" if loss is not None else f"{'':>8}",
            " ".join(f"{key}={_short(value)}" for key, value in sorted(settings.items())),
        ]
        if self._rows == 0:
            self.say(f"{'trial':>5}  {'status':<10}  {'loss':>8}  settings")
        self._rows += 1
        self.say("  ".join(row).rstrip())
        if trial.get("FailureReason"):
            self.say(f"       {trial['FailureReason'].splitlines()[0]}")

    def _number(self, trial: str) -> str:
        """Its place in the job: SageMaker names trials <job>-001-<digits>."""
        return trial.removeprefix(f"{self.name}-").partition("-")[0]


def watch(view: View, interval: float) -> dict[str, Any]:
    quiet = 0
    while True:
        description = _patiently(view.describe, view.say)
        if description is None:
            raise JobError("A job to follow exists.", view.name, "It was deleted meanwhile.")
        news = _patiently(lambda: view.show(description), view.say)  # noqa: B023  # called at once
        status = description[view.status_key]
        quiet = quiet + 1 if status in OVER and not news else 0
        if quiet >= _QUIET_ROUNDS:
            break
        time.sleep(min(interval, 1.0) if status in OVER else interval)
    if status == "Completed" or view.keeps_what_it_has:
        return description
    if status == "Stopped" and "BestTrainingJob" in description:
        view.say("The job was stopped; what counts are the trials that it had completed.")
        return description
    why = description.get("FailureReason") or description.get("SecondaryStatus") or status
    words = view.last_words()
    log = f"\nThe end of its log:\n{words}" if words else ""
    raise JobError(f"The job {view.name} completes.", f"{status}: {why}{log}", _remedy(why, description))


def _remedy(why: str, description: dict[str, Any]) -> str:
    kept = description.get("CheckpointConfig", {}).get("S3Uri")
    if "MaxRuntime" in why or "MaxWait" in why:
        return "Give it more time" + (f"; --checkpoints {kept} goes on from where it was." if kept else ".")
    if why == "Stopped":
        return "Start it again" + (f"; --checkpoints {kept} goes on from where it was." if kept else ".")
    if "CapacityError" in why:
        return "Try again later, in another region, or with another instance type."
    return "Correct what it names, and start again."


def _patiently(call: Callable[[], T], say: Say) -> T:
    """Call; wait, longer each time, while the service is throttling, failing or out of reach."""
    pause, deadline, told = 2.0, time.monotonic() + _PATIENCE, False
    while True:
        try:
            return call()
        except (ClientError, BotoCoreError) as error:
            if not outage.is_passing(error):
                raise KennelError(
                    "The job can be watched.",
                    error,
                    "Check your rights: sagemaker:Describe*, logs:GetLogEvents. The job goes on; attach to it again.",
                ) from error
            if time.monotonic() > deadline:
                raise KennelError(
                    "AWS can be reached.", error, "The job goes on: attach to it again later."
                ) from error
            if not told:
                say(f"Not to be reached, trying again for {_PATIENCE / 60:.0f} minutes: {error}")
                told = True
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _or_none(describe: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    try:
        return describe()
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def is_missing(error: ClientError) -> bool:
    """Whether SageMaker says, in one of its ways, that there is no such job."""
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"].lower()
    return code == "ResourceNotFound" or (
        code == "ValidationException"
        and any(words in message for words in ("not found", "does not exist", "could not find"))
    )


def _objective(trial: dict[str, Any]) -> float | None:
    metric = trial.get("FinalHyperParameterTuningJobObjectiveMetric")
    return None if metric is None else float(metric["Value"])


def _short(value: str) -> str:
    try:
        return value if value.isdecimal() else f"{float(value):.3g}"
    except ValueError:
        return value
