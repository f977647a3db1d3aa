"""moto's SageMaker backend with transform jobs that run."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from moto.sagemaker.exceptions import ResourceInUseException, ResourceNotFound, ValidationError

from localcloud.sagemaker.instance import Host
from localcloud.sagemaker.jobs import listing, shapes
from localcloud.sagemaker.jobs.backend import JobsBackend
from localcloud.sagemaker.records import ModelRecord
from localcloud.sagemaker.transform import requests
from localcloud.sagemaker.transform.asking import TransformSpec
from localcloud.sagemaker.transform.job import TransformJob
from localcloud.sagemaker.transform.objects import Store

_SORT = {"CreationTime": "CreationTime", "Name": "TransformJobName", "Status": "TransformJobStatus"}


class TransformBackend(JobsBackend):
    transform_host: ClassVar[Host]  # set when the cloud starts

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.transforms: dict[str, TransformJob] = {}
        self.transform_jobs = self.transforms  # type: ignore[assignment]  # where moto's tags and search look

    def reset(self) -> None:
        for job in list(self.transforms.values()):
            job.abandon()
        super().reset()

    def start_transform_job(self, given: dict[str, Any]) -> TransformJob:
        request = requests.complete(given, self.account_id)
        model = self._model(request["ModelName"])
        if len(model.all_containers) > 1:
            raise NotImplementedError("CreateTransformJob with an inference pipeline (several containers)")
        spec = self._transform_spec(request, model)
        job = TransformJob(request, spec, self.transform_host, Store(spec.actor))
        with self.jobs_lock:
            if job.name in self.transforms:
                raise ResourceInUseException(
                    "Transform job names must be unique within an AWS account and region, and a transform job "
                    f"with this name already exists ({job.arn})"
                )
            running = [one for one in self.transforms.values() if not one.over]
            self._check_limit("transform job", job, running)
            self.transforms[job.name] = job
        job.start()
        return job

    def _model(self, name: str) -> ModelRecord:
        model = self._models.get(name)
        if not isinstance(model, ModelRecord):
            raise ValidationError(f'Could not find model "{self._arn("model", name)}".')
        return model

    def _transform_spec(self, request: dict[str, Any], model: ModelRecord) -> TransformSpec:
        container = model.all_containers[0]
        told = {
            "SAGEMAKER_BATCH": True,
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": request.get("MaxPayloadInMB"),
            "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": request.get("MaxConcurrentTransforms"),
            "SAGEMAKER_BATCH_STRATEGY": requests.STRATEGIES.get(request.get("BatchStrategy", "")),
        }
        return TransformSpec(
            actor=model.actor("transform-job", request["TransformJobName"]),
            endpoint_name=request["TransformJobName"],
            variant_name="transform",
            image=container.get("Image", ""),
            model_data_url=container.get("ModelDataUrl"),
            environment={
                **(container.get("Environment") or {}),
                **(request.get("Environment") or {}),
                **{
                    name: str(value).lower() if value is True else str(value)
                    for name, value in told.items()
                    if value
                },
            },
            isolated=model.isolated,
            log_time=int(time.time()),
        )

    def transform_job(self, name: str) -> TransformJob:
        job = self.transforms.get(name)
        if job is None:
            raise ResourceNotFound(f"Could not find requested job with name: {name}")
        return job

    def page_of_transform_jobs(self, request: dict[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
        shapes.check("ListTransformJobs", request)
        return listing.select(
            [job.summary for job in list(self.transforms.values())],
            request,
            name="TransformJobName",
            status="TransformJobStatus",
            sort=_SORT,
        )
