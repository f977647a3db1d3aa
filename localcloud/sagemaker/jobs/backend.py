"""moto's SageMaker backend with training and tuning jobs that run."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, ClassVar, Protocol

from moto.sagemaker.exceptions import ResourceInUseException, ResourceNotFound, ValidationError
from moto.sagemaker.models import SageMakerModelBackend
from moto.sagemaker.utils import arn_formatter

from localcloud import quotas
from localcloud.sagemaker.instance import Host
from localcloud.sagemaker.jobs import listing, requests, shapes, tuning_requests
from localcloud.sagemaker.jobs.settings import Settings
from localcloud.sagemaker.jobs.training import TrainingJob
from localcloud.sagemaker.jobs.tuning import TuningJob

_SORT_TRAINING_JOBS = {
    "CreationTime": "CreationTime",
    "Name": "TrainingJobName",
    "Status": "TrainingJobStatus",
}
_SORT_TUNING_JOBS = {
    "Name": "HyperParameterTuningJobName",
    "Status": "HyperParameterTuningJobStatus",
    "CreationTime": "CreationTime",
}
_SORT_TRIALS = {
    "Name": "TrainingJobName",
    "CreationTime": "CreationTime",
    "Status": "TrainingJobStatus",
    "FinalObjectiveMetricValue": "FinalObjectiveMetricValue",
}


class _OnInstances(Protocol):
    @property
    def instance_type(self) -> str: ...

    @property
    def instance_count(self) -> int: ...


class JobsBackend(SageMakerModelBackend):
    jobs_host: ClassVar[Host]  # set when the cloud starts, like the next
    jobs_settings: ClassVar[Settings]

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.jobs_lock = (
            threading.RLock()
        )  # for what must not change between a check and what follows from it
        self.jobs: dict[str, TrainingJob] = {}
        self.tuning_jobs: dict[str, TuningJob] = {}
        # Where moto's tags and search look.
        self.training_jobs = self.jobs  # type: ignore[assignment]
        self.hyper_parameter_tuning_jobs = self.tuning_jobs  # type: ignore[assignment]

    def reset(self) -> None:
        for tuning_job in list(self.tuning_jobs.values()):
            tuning_job.abandon()
        for job in list(self.jobs.values()):
            job.abandon()
        super().reset()

    def _arn(self, kind: str, name: str) -> str:
        return str(arn_formatter(kind, name, self.account_id, self.region_name))

    # Training jobs

    def start_training_job(self, given: dict[str, Any], tuning_job_arn: str | None = None) -> TrainingJob:
        request = requests.complete(given, self.account_id, self.region_name, tuning_job_arn or "")
        job = TrainingJob(
            self.account_id, self.region_name, self.jobs_host, self.jobs_settings, request, tuning_job_arn
        )
        with self.jobs_lock:
            if job.name in self.jobs:
                raise ResourceInUseException(
                    "Training job names must be unique within an AWS account and region, and a training job "
                    f"with this name already exists ({job.arn})"
                )
            running = [one for one in self.jobs.values() if not one.course.over]
            self._check_limit("training job", job, running)
            self.jobs[job.name] = job
        job.start()
        return job

    def _check_limit(self, kind: str, job: _OnInstances, running: Iterable[_OnInstances]) -> None:
        used = sum(one.instance_count for one in running if one.instance_type == job.instance_type)
        name = f"{job.instance_type} for {kind} usage"
        quotas.admit(name, used, job.instance_count, self.jobs_settings.instances)

    def training_job(self, name: str) -> TrainingJob:
        job = self.jobs.get(name)
        if job is None:
            raise ValidationError("Requested resource not found.")
        return job

    def remove_training_job(self, name: str) -> None:
        with self.jobs_lock:
            job = self.training_job(name)
            if not job.course.over:
                raise ResourceInUseException(
                    f"Training job {name} is in status {job.course.status} and cannot be deleted."
                )
            del self.jobs[name]

    def page_of_training_jobs(self, request: dict[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
        shapes.check("ListTrainingJobs", request)
        for name in ("WarmPoolStatusEquals", "TrainingPlanArnEquals"):
            if request.get(name):
                raise NotImplementedError(f"ListTrainingJobs with {name}")
        summaries = [job.summary for job in list(self.jobs.values())]
        return listing.select(
            summaries,
            request,
            name="TrainingJobName",
            status="TrainingJobStatus",
            sort=_SORT_TRAINING_JOBS,
        )

    # Tuning jobs

    def start_tuning_job(self, given: dict[str, Any]) -> TuningJob:
        plan = tuning_requests.read(given, self.account_id, self.region_name)

        def launch(request: dict[str, Any]) -> TrainingJob:
            return self.start_training_job(request, job.arn)

        job = TuningJob(self.account_id, self.region_name, plan, launch)
        with self.jobs_lock:
            if job.name in self.tuning_jobs:
                raise ResourceInUseException(
                    "Hyperparameter tuning job names must be unique within an AWS account and region, and a "
                    f"hyperparameter tuning job with this name already exists ({job.arn})"
                )
            self.tuning_jobs[job.name] = job
        job.start()
        return job

    def tuning_job(self, name: str) -> TuningJob:
        job = self.tuning_jobs.get(name)
        if job is None:
            raise ResourceNotFound(
                f"Amazon SageMaker can't find a tuning job with the name {name}. Correct the name and try again."
            )
        return job

    def remove_tuning_job(self, name: str) -> None:
        with self.jobs_lock:
            if not self.tuning_job(name).over:
                raise ResourceInUseException(
                    f"Hyperparameter tuning job {name} is running and cannot be deleted."
                )
            del self.tuning_jobs[name]

    def page_of_tuning_jobs(self, request: dict[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
        shapes.check("ListHyperParameterTuningJobs", request)
        return listing.select(
            [job.summary for job in list(self.tuning_jobs.values())],
            request,
            name="HyperParameterTuningJobName",
            status="HyperParameterTuningJobStatus",
            sort=_SORT_TUNING_JOBS,
        )

    def page_of_trials(self, request: dict[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
        shapes.check("ListTrainingJobsForHyperParameterTuningJob", request)
        page, token = listing.select(
            self.tuning_job(request["HyperParameterTuningJobName"]).trials(),
            request,
            name="TrainingJobName",
            status="TrainingJobStatus",
            sort=_SORT_TRIALS,
        )
        for summary in page:
            summary.pop("FinalObjectiveMetricValue", None)
        return page, token
