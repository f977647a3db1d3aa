"""SageMaker's operations on inference components."""

from __future__ import annotations

from typing import cast

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.responses import SageMakerResponse

from localcloud.sagemaker.components.backend import ComponentBackend
from localcloud.sagemaker.jobs import shapes


class ComponentsApi(SageMakerResponse):
    @property
    def _components(self) -> ComponentBackend:
        return cast(ComponentBackend, self.sagemaker_backend)

    def create_inference_component(self) -> ActionResult:
        return ActionResult({"InferenceComponentArn": self._components.put_component(self.params).arn})

    def describe_inference_component(self) -> ActionResult:
        shapes.check("DescribeInferenceComponent", self.params)
        component = self._components.component(self.params["InferenceComponentName"])
        return ActionResult(component.response_object)

    def list_inference_components(self) -> ActionResult:
        summaries, token = self._components.page_of_components(self.params)
        return ActionResult({"InferenceComponents": summaries, "NextToken": token})

    def update_inference_component(self) -> ActionResult:
        return ActionResult({"InferenceComponentArn": self._components.update_component(self.params).arn})

    def update_inference_component_runtime_config(self) -> ActionResult:
        return ActionResult({"InferenceComponentArn": self._components.resize_component(self.params).arn})

    def delete_inference_component(self) -> ActionResult:
        shapes.check("DeleteInferenceComponent", self.params)
        self._components.remove_component(self.params["InferenceComponentName"])
        return EmptyResult()
