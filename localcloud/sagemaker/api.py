"""SageMaker's control plane: what is ours, and what is refused because it would only be pretended."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from moto.core.responses import ActionResult

from localcloud.sagemaker.backend import Backend
from localcloud.sagemaker.components.api import ComponentsApi
from localcloud.sagemaker.jobs.api import JobsApi
from localcloud.sagemaker.transform.api import TransformApi


class SageMaker(ComponentsApi, TransformApi, JobsApi):
    @property
    def _backend(self) -> Backend:
        return cast(Backend, self.sagemaker_backend)

    def create_model(self) -> ActionResult:
        return ActionResult({"ModelArn": self._backend.put_model(self.params).arn})

    def create_endpoint_config(self) -> ActionResult:
        config = self._backend.put_endpoint_config(self.params)
        return ActionResult({"EndpointConfigArn": config.endpoint_config_arn})

    def create_endpoint(self) -> ActionResult:
        return ActionResult({"EndpointArn": self._backend.put_endpoint(self.params).arn})

    def update_endpoint(self) -> ActionResult:
        return ActionResult({"EndpointArn": self._backend.update_endpoint(self.params).arn})

    def update_endpoint_weights_and_capacities(self) -> ActionResult:
        wanted = self.params["DesiredWeightsAndCapacities"]
        endpoint = self._backend.resize_endpoint(self.params["EndpointName"], wanted)
        return ActionResult({"EndpointArn": endpoint.arn})

    def add_tags(self) -> ActionResult:
        return ActionResult({"Tags": self._backend.add_tags(self.params["ResourceArn"], self.params["Tags"])})

    def create_notebook_instance(self) -> ActionResult:
        result = super().create_notebook_instance()
        names = ("PlatformIdentifier", "InstanceMetadataServiceConfiguration")
        given = {name: self.params[name] for name in names if self.params.get(name)}
        self._backend.notebook_settings[self.params["NotebookInstanceName"]] |= given
        return result

    def describe_notebook_instance(self) -> ActionResult:
        name = self.params["NotebookInstanceName"]
        notebook = self._backend.get_notebook_instance(name)
        return ActionResult({**notebook.to_dict(), **self._backend.notebook_settings[name]})

    def create_notebook_instance_lifecycle_config(self) -> ActionResult:
        result = super().create_notebook_instance_lifecycle_config()
        name = self.params["NotebookInstanceLifecycleConfigName"]
        self._backend.tag_lifecycle_config(name, self.params.get("Tags") or [])
        return result

    def list_notebook_instance_lifecycle_configs(self) -> ActionResult:
        """All on one page; the filters of AWS are refused."""
        unsupported = self.params.keys() - {"MaxResults"}
        if unsupported:
            raise NotImplementedError(
                f"ListNotebookInstanceLifecycleConfigs with {', '.join(sorted(unsupported))}"
            )
        configurations = self._backend.notebook_instance_lifecycle_configurations.values()
        return ActionResult(
            {"NotebookInstanceLifecycleConfigs": [entry.response_object for entry in configurations]}
        )


def _refusal(operation: str) -> Callable[[SageMaker], ActionResult]:
    def refuse(_: SageMaker) -> ActionResult:
        raise NotImplementedError(f"moto only pretends to run what {operation} starts")

    return refuse


# moto answers these as if the work had been done.
for _method, _operation in {
    "create_auto_ml_job_v2": "CreateAutoMLJobV2",
    "create_cluster": "CreateCluster",
    "create_compilation_job": "CreateCompilationJob",
    "create_processing_job": "CreateProcessingJob",
    "start_pipeline_execution": "StartPipelineExecution",
}.items():
    setattr(SageMaker, _method, _refusal(_operation))
