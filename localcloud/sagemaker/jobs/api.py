"""SageMaker's operations on training and tuning jobs."""

from __future__ import annotations

from typing import cast

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.responses import SageMakerResponse

from localcloud.sagemaker.jobs import shapes
from localcloud.sagemaker.jobs.backend import JobsBackend


class JobsApi(SageMakerResponse):
    @property
    def _jobs(self) -> JobsBackend:
        return cast(JobsBackend, self.sagemaker_backend)

    def create_training_job(self) -> ActionResult:
        return ActionResult({"TrainingJobArn": self._jobs.start_training_job(self.params).arn})

    def describe_training_job(self) -> ActionResult:
        shapes.check("DescribeTrainingJob", self.params)
        return ActionResult(self._jobs.training_job(self.params["TrainingJobName"]).response_object)

    def list_training_jobs(self) -> ActionResult:
        summaries, token = self._jobs.page_of_training_jobs(self.params)
        return ActionResult({"TrainingJobSummaries": summaries, "NextToken": token})

    def stop_training_job(self) -> ActionResult:
        shapes.check("StopTrainingJob", self.params)
        self._jobs.training_job(self.params["TrainingJobName"]).stop()
        return EmptyResult()

    def delete_training_job(self) -> ActionResult:
        shapes.check("DeleteTrainingJob", self.params)
        self._jobs.remove_training_job(self.params["TrainingJobName"])
        return EmptyResult()

    def create_hyper_parameter_tuning_job(self) -> ActionResult:
        return ActionResult({"HyperParameterTuningJobArn": self._jobs.start_tuning_job(self.params).arn})

    def describe_hyper_parameter_tuning_job(self) -> ActionResult:
        shapes.check("DescribeHyperParameterTuningJob", self.params)
        return ActionResult(self._jobs.tuning_job(self.params["HyperParameterTuningJobName"]).response_object)

    def list_hyper_parameter_tuning_jobs(self) -> ActionResult:
        summaries, token = self._jobs.page_of_tuning_jobs(self.params)
        return ActionResult({"HyperParameterTuningJobSummaries": summaries, "NextToken": token})

    def list_training_jobs_for_hyper_parameter_tuning_job(self) -> ActionResult:
        summaries, token = self._jobs.page_of_trials(self.params)
        return ActionResult({"TrainingJobSummaries": summaries, "NextToken": token})

    def stop_hyper_parameter_tuning_job(self) -> ActionResult:
        shapes.check("StopHyperParameterTuningJob", self.params)
        self._jobs.tuning_job(self.params["HyperParameterTuningJobName"]).stop()
        return EmptyResult()

    def delete_hyper_parameter_tuning_job(self) -> ActionResult:
        shapes.check("DeleteHyperParameterTuningJob", self.params)
        self._jobs.remove_tuning_job(self.params["HyperParameterTuningJobName"])
        return EmptyResult()
