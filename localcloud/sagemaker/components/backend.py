"""moto's SageMaker backend with inference components that run."""

from __future__ import annotations

from typing import Any, ClassVar

from moto.applicationautoscaling.models import applicationautoscaling_backends
from moto.core.utils import utcnow
from moto.sagemaker.exceptions import ValidationError

from localcloud.sagemaker.components import requests
from localcloud.sagemaker.components.component import ComponentSpec, InferenceComponent
from localcloud.sagemaker.endpoint import Endpoint
from localcloud.sagemaker.instance import STARTUP_TIMEOUT, Host
from localcloud.sagemaker.jobs import listing, shapes
from localcloud.sagemaker.records import ModelRecord
from localcloud.sagemaker.transform.backend import TransformBackend

COPIES = "sagemaker:inference-component:DesiredCopyCount"
_SORT = {
    "CreationTime": "CreationTime",
    "Name": "InferenceComponentName",
    "Status": "InferenceComponentStatus",
}


class ComponentBackend(TransformBackend):
    host: ClassVar[Host]  # set when the cloud starts

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.components: dict[str, InferenceComponent] = {}

    def reset(self) -> None:
        for component in list(self.components.values()):
            component.abandon()
        super().reset()

    def put_component(self, request: dict[str, Any]) -> InferenceComponent:
        requests.check("CreateInferenceComponent", request)
        name = request["InferenceComponentName"]
        if not request.get("Specification") or not request.get("RuntimeConfig"):
            raise ValidationError("Specification and RuntimeConfig must be specified.")
        endpoint = self._endpoint(request["EndpointName"])
        endpoint.require_stable()
        variant = endpoint.component_variant(request.get("VariantName"))
        if variant is None:
            raise ValidationError(
                f'The variant "{request.get("VariantName")}" of endpoint "{endpoint.arn}" takes no inference '
                "components: its configuration names a model, or there is none of the name."
            )
        spec, image = self._component_spec(name, endpoint, variant, request["Specification"])
        component = InferenceComponent(request, endpoint.arn, spec, image, self.host)
        with self.jobs_lock:
            if name in self.components:
                raise ValidationError(
                    f'Cannot create already existing inference component "{component.arn}".'
                )
            self.components[name] = component
        component.create()
        return component

    def update_component(self, request: dict[str, Any]) -> InferenceComponent:
        requests.check("UpdateInferenceComponent", request)
        component = self.component(request["InferenceComponentName"])
        copies = (request.get("RuntimeConfig") or {}).get("CopyCount", component.desired_copies)
        specification = request.get("Specification")
        if specification is None:
            component.set_copies(copies)
            return component
        endpoint = self._endpoint(component.endpoint_name)
        variant = endpoint.component_variant(component.variant_name)
        if variant is None:
            raise ValidationError(f'The endpoint "{endpoint.arn}" takes no inference components any more.')
        spec, image = self._component_spec(component.name, endpoint, variant, specification)
        component.update(specification, spec, image, copies)
        return component

    def resize_component(self, request: dict[str, Any]) -> InferenceComponent:
        shapes.check("UpdateInferenceComponentRuntimeConfig", request)
        component = self.component(request["InferenceComponentName"])
        component.set_copies(request["DesiredRuntimeConfig"]["CopyCount"])
        return component

    def remove_component(self, name: str) -> None:
        component = self.component(name)

        def forget() -> None:
            self.components.pop(name, None)

        component.delete(forget)
        scaling = applicationautoscaling_backends[self.account_id][self.region_name]
        resource = f"inference-component/{name}"
        if resource in scaling.targets.get(COPIES, {}):  # AWS deregisters it with the component
            scaling.deregister_scalable_target("sagemaker", resource, COPIES)

    def component(self, name: str) -> InferenceComponent:
        component = self.components.get(name)
        if component is None:
            arn = self._arn("inference-component", name)
            raise ValidationError(f'Could not find inference component "{arn}".')
        return component

    def _endpoint(self, name: str) -> Endpoint:
        endpoint = self.endpoints.get(name)
        if not isinstance(endpoint, Endpoint):
            raise ValidationError(f'Could not find endpoint "{self._arn("endpoint", name)}".')
        return endpoint

    def page_of_components(self, request: dict[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
        shapes.check("ListInferenceComponents", request)
        found = [
            component.summary
            for component in list(self.components.values())
            if request.get("EndpointNameEquals") in (None, component.endpoint_name)
            and request.get("VariantNameEquals") in (None, component.variant_name)
        ]
        return listing.select(
            found, request, name="InferenceComponentName", status="InferenceComponentStatus", sort=_SORT
        )

    def _component_spec(
        self, name: str, endpoint: Endpoint, variant: dict[str, Any], specification: dict[str, Any]
    ) -> tuple[ComponentSpec, dict[str, Any]]:
        container = specification.get("Container")
        if container is None:
            model = self._model(specification["ModelName"])
            container = model.all_containers[0]
        else:  # what a model says otherwise, its configuration says
            model = ModelRecord(
                self.account_id, self.region_name, {"ModelName": name, **(endpoint.current_config or {})}
            )
        startup = specification.get("StartupParameters") or {}
        image = container.get("Image", "")
        spec = ComponentSpec(
            actor=model.actor("endpoint", endpoint.endpoint_name),
            endpoint_name=endpoint.endpoint_name,
            variant_name=variant["VariantName"],
            image=image,
            model_data_url=container.get("ModelDataUrl") or container.get("ArtifactUrl"),
            environment=container.get("Environment") or {},
            startup_timeout=startup.get("ContainerStartupHealthCheckTimeoutInSeconds", STARTUP_TIMEOUT),
            isolated=model.isolated,
            instance_type=variant["InstanceType"],
            component_name=name,
        )
        return spec, {"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": utcnow()}
