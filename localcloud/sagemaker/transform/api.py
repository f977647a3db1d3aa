"""SageMaker's operations on transform jobs."""

from __future__ import annotations

from typing import cast

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.responses import SageMakerResponse

from localcloud.sagemaker.jobs import shapes
from localcloud.sagemaker.transform.backend import TransformBackend


class TransformApi(SageMakerResponse):
    @property
    def _transforms(self) -> TransformBackend:
        return cast(TransformBackend, self.sagemaker_backend)

    def create_transform_job(self) -> ActionResult:
        return ActionResult({"TransformJobArn": self._transforms.start_transform_job(self.params).arn})

    def describe_transform_job(self) -> ActionResult:
        shapes.check("DescribeTransformJob", self.params)
        return ActionResult(self._transforms.transform_job(self.params["TransformJobName"]).response_object)

    def list_transform_jobs(self) -> ActionResult:
        summaries, token = self._transforms.page_of_transform_jobs(self.params)
        return ActionResult({"TransformJobSummaries": summaries, "NextToken": token})

    def stop_transform_job(self) -> ActionResult:
        shapes.check("StopTransformJob", self.params)
        self._transforms.transform_job(self.params["TransformJobName"]).stop()
        return EmptyResult()
