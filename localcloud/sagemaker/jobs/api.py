"""SageMaker's operations on training jobs."""

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
