"""A tuning job's life: trials as training jobs, so many at a time."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import secrets
import statistics
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from moto.core.utils import utcnow
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.utils import arn_formatter

from localcloud.quotas import ResourceLimitExceeded
from localcloud.sagemaker import capacity
from localcloud.sagemaker.jobs import search
from localcloud.sagemaker.jobs.training import TrainingJob
from localcloud.sagemaker.jobs.tuning_requests import Plan

log = logging.getLogger(__name__)

_POLL = 0.1  # s
_HOPELESS = 5  # trials that failed, and none that did not: AWS gives up
_JUDGES = 3  # completed trials before early stopping judges others; AWS does not say from how many on

Launch = Callable[[dict[str, Any]], TrainingJob]


class Trial:
    def __init__(self, job: TrainingJob, values: dict[str, str], metric: str) -> None:
        self.job, self.values, self._metric = job, values, metric
        self.told = False  # to the search

    @property
    def over(self) -> bool:
        return self.job.ended.is_set()

    @property
    def history(self) -> list[float]:
        return self.job.metrics.values(self._metric)

    @property
    def objective(self) -> float | None:
        """The last value of the metric, which a trial that failed does not have."""
        values = self.history if self.job.course.status != "Failed" else []
        return values[-1] if self.over and values else None

    @property
    def objective_status(self) -> str:
        if not self.over:
            return "Pending"
        return "Failed" if self.objective is None else "Succeeded"


class TuningJob:
    def __init__(self, account_id: str, region: str, plan: Plan, launch: Launch) -> None:
        self.name = str(plan.request["HyperParameterTuningJobName"])
        self.arn = str(arn_formatter("hyper-parameter-tuning-job", self.name, account_id, region))
        self.tags: list[dict[str, str]] = list(plan.request.get("Tags") or [])
        self.status = "InProgress"
        self.created = self.modified = utcnow()
        self._plan, self._launch = plan, launch
        self._ended: datetime | None = None
        self._failure: str | None = None
        self._trials: list[Trial] = []
        self._stop = threading.Event()
        self._closing = False
        self._lock = threading.RLock()

    # Operations

    def start(self) -> None:
        run = capacity.carried_on(self._run)
        threading.Thread(target=run, name=f"tuning job {self.name}", daemon=True).start()

    def stop(self) -> None:
        with self._lock:
            if self.status != "InProgress":
                raise ValidationError(
                    f"The request was rejected because the hyperparameter tuning job is in status {self.status}."
                )
            self._become("Stopping")
            self._stop.set()

    def abandon(self) -> None:
        """The cloud is being reset; the trials are ended as training jobs."""
        self._closing = True
        self._stop.set()

    @property
    def over(self) -> bool:
        return self._ended is not None

    # Life

    def _run(self) -> None:
        try:
            status = self._search()
        except Exception as error:
            log.exception("tuning job %s", self.name)
            self._failure = f"InternalServerError: The embedded cloud failed: {error!r}"
            status = "Failed"
            self._end_trials()
        with self._lock:
            self._ended = utcnow()
            self._become(status)
        log.info("tuning job %s is %s; failure: %s", self.name, status, self._failure)

    def _search(self) -> str:
        plan = self._plan
        seed = secrets.randbits(31) if plan.seed is None else plan.seed
        strategy = search.start(plan.strategy, plan.ranges, seed, maximize=plan.maximize)
        pending: dict[str, str] | None = None  # values that wait for instances
        exhausted = False
        while not self._stop.is_set():
            self._tell(strategy)
            if self._is_hopeless(min(_HOPELESS, plan.trials)):
                self._end_trials()
                return "Failed"
            if plan.early_stopping:
                self._stop_early()
            running = sum(not trial.over for trial in self._trials)
            while not exhausted and running < plan.parallel and len(self._trials) < plan.trials:
                pending = pending or strategy.next()
                if pending is None:
                    exhausted = True
                elif self._try(pending):
                    pending, running = None, running + 1
                else:
                    break
            if running == 0 and (exhausted or len(self._trials) >= plan.trials):
                return "Failed" if self._is_hopeless(0) else "Completed"
            self._stop.wait(_POLL)
        self._end_trials()
        return "Stopped"

    def _try(self, values: dict[str, str]) -> bool:
        """Start a trial; False while the account has no instances for it."""
        number = len(self._trials) + 1
        digest = hashlib.sha256(f"{self.arn}{number}{secrets.token_hex(8)}".encode()).hexdigest()[:8]
        try:
            job = self._launch(self._plan.trial(f"{self.name}-{number:03}-{digest}", values))
        except ResourceLimitExceeded:
            return False
        with self._lock:
            self._trials.append(Trial(job, values, self._plan.metric))
            self.modified = utcnow()
        return True

    def _tell(self, strategy: search.Search) -> None:
        for trial in self._trials:
            if trial.over and not trial.told:
                trial.told = True
                strategy.tell(trial.values, trial.objective)

    def _is_hopeless(self, attempts: int) -> bool:
        """Whether so many trials have ended, and none with a value of the objective."""
        ended = [trial for trial in self._trials if trial.over]
        if len(ended) < attempts or any(trial.objective_status == "Succeeded" for trial in ended):
            return False
        self._failure = (
            f"No training job succeeded after {len(ended)} attempts. Please take a look at the training job "
            "failures to get more details."
        )
        return True

    def _stop_early(self) -> None:
        """Stop trials worse than the median of what completed ones had on average up to the same number of values."""
        completed = [one for one in self._trials if one.over and one.job.course.status == "Completed"]
        judges = [history for one in completed if (history := one.history)]
        if len(judges) < _JUDGES:
            return
        for trial in self._trials:
            history = [] if trial.over else trial.history
            if not history:
                continue
            median = statistics.median(statistics.fmean(judge[: len(history)]) for judge in judges)
            worse = history[-1] < median if self._plan.maximize else history[-1] > median
            if worse and trial.job.course.status == "InProgress":
                _stop(trial)

    def _end_trials(self) -> None:
        for trial in self._trials:
            if not self._closing:
                _stop(trial)
        for trial in self._trials:
            trial.job.ended.wait()

    def _become(self, status: str) -> None:
        self.status = status
        self.modified = utcnow()

    # Answers

    def trials(self) -> list[dict[str, Any]]:
        """Summaries, with the objective's value for sorting under FinalObjectiveMetricValue."""
        with self._lock:
            return [self._summary(trial) for trial in self._trials]

    def _summary(self, trial: Trial) -> dict[str, Any]:
        described = trial.job.course.describe()
        names = ("CreationTime", "TrainingStartTime", "TrainingEndTime", "TrainingJobStatus", "FailureReason")
        summary: dict[str, Any] = {
            "TrainingJobName": trial.job.name,
            "TrainingJobArn": trial.job.arn,
            "TunedHyperParameters": trial.values,
            "ObjectiveStatus": trial.objective_status,
            **{name: described[name] for name in names if name in described},
        }
        if trial.objective is not None:
            objective = {"MetricName": self._plan.metric, "Value": trial.objective}
            summary["FinalHyperParameterTuningJobObjectiveMetric"] = objective
            summary["FinalObjectiveMetricValue"] = trial.objective
        return summary

    def _best(self) -> dict[str, Any] | None:
        known = [trial for trial in self._trials if trial.objective is not None]
        if not known:
            return None
        sign = -1 if self._plan.maximize else 1
        best = self._summary(min(known, key=lambda trial: sign * (trial.objective or 0.0)))
        del best["FinalObjectiveMetricValue"]
        kind = "Maximize" if self._plan.maximize else "Minimize"
        objective = {"Type": kind, **best["FinalHyperParameterTuningJobObjectiveMetric"]}
        return {**best, "FinalHyperParameterTuningJobObjectiveMetric": objective}

    @property
    def summary(self) -> dict[str, Any]:
        with self._lock:
            states = [trial.job.course.status for trial in self._trials]
            objectives = [trial.objective_status for trial in self._trials]
            config = self._plan.request["HyperParameterTuningJobConfig"]
            answer: dict[str, Any] = {
                "HyperParameterTuningJobName": self.name,
                "HyperParameterTuningJobArn": self.arn,
                "HyperParameterTuningJobStatus": self.status,
                "Strategy": self._plan.strategy,
                "CreationTime": self.created,
                "LastModifiedTime": self.modified,
                "TrainingJobStatusCounters": {
                    "Completed": states.count("Completed"),
                    "InProgress": states.count("InProgress") + states.count("Stopping"),
                    "RetryableError": 0,
                    "NonRetryableError": states.count("Failed"),
                    "Stopped": states.count("Stopped"),
                },
                "ObjectiveStatusCounters": {
                    name: objectives.count(name) for name in ("Succeeded", "Pending", "Failed")
                },
                "ResourceLimits": config["ResourceLimits"],
            }
            if self._ended is not None:
                answer["HyperParameterTuningEndTime"] = self._ended
            return answer

    @property
    def response_object(self) -> dict[str, Any]:
        with self._lock:
            summary = self.summary
            for name in ("Strategy", "ResourceLimits"):
                del summary[name]
            request = {name: value for name, value in self._plan.request.items() if name != "Tags"}
            definition = dict(request["TrainingJobDefinition"])
            static = definition.get("StaticHyperParameters") or {}
            definition["StaticHyperParameters"] = {"_tuning_objective_metric": self._plan.metric, **static}
            seconds = sum(trial.job.course.trained for trial in self._trials)
            answer = {
                **request,
                **summary,
                "TrainingJobDefinition": definition,
                "ConsumedResources": {"RuntimeInSeconds": round(seconds)},
            }
            best = self._best()
            if best is not None:
                answer["BestTrainingJob"] = best
            if self._failure:
                answer["FailureReason"] = self._failure
            return answer


def _stop(trial: Trial) -> None:
    with contextlib.suppress(ValidationError):  # it is over, or stopping already
        trial.job.stop()
