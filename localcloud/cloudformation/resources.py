"""The resource types that a stack may hold: each is made, changed and deleted through SageMaker's backend."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from copy import deepcopy
from typing import Any, ClassVar, TypeVar, cast

from moto.cloudformation.exceptions import UnformattedGetAttTemplateException
from moto.core.common_models import CloudFormationModel
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import sagemaker_backends
from moto.sagemaker.utils import arn_formatter

from localcloud.sagemaker.backend import Backend
from localcloud.sagemaker.components.component import InferenceComponent
from localcloud.sagemaker.endpoint import Endpoint
from localcloud.sagemaker.jobs import shapes

_POLL = 0.05  # s
_PATIENCE = 300.0  # s that scaling may be at work on what is to change
_STABLE = ("InService", "Failed")

Done = TypeVar("Done")


class ResourceError(Exception):
    """Why a resource is not as it should be."""


class Resource(CloudFormationModel):
    kind: ClassVar[str] = ""  # of none: moto asks all classes that it finds
    name_property: ClassVar[str] = ""
    part_of_arn: ClassVar[str] = ""
    lasting: ClassVar[tuple[str, ...]] = ()  # properties that only another resource has otherwise

    def __init__(
        self, logical_id: str, properties: dict[str, Any], tags: list[dict[str, str]], where: tuple[str, str]
    ) -> None:
        self.logical_resource_id = logical_id
        self.cf_resource_type = self.kind
        self.properties = properties
        self.name: str = properties[self.name_property]
        self._tags = tags
        self._ours = False  # what was there before is not deleted with the stack
        self._account_id, self._region = where

    @classmethod
    def cloudformation_type(cls) -> str:
        return cls.kind

    @classmethod
    def cloudformation_name_type(cls) -> str:
        return cls.name_property

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr == cls.name_property

    def get_cfn_attribute(self, attribute_name: str) -> str:
        if attribute_name != self.name_property:
            raise UnformattedGetAttTemplateException
        return self.name

    @property
    def physical_resource_id(self) -> str:
        return str(arn_formatter(self.part_of_arn, self.name, self._account_id, self._region))

    @property
    def where(self) -> tuple[str, str]:
        """Account and region."""
        return self._account_id, self._region

    @property
    def is_ours(self) -> bool:
        return self._ours

    @property
    def request(self) -> dict[str, Any]:
        """As SageMaker is asked for it."""
        return {**self._request, self.name_property: self.name}

    @property
    def _backend(self) -> Backend:
        return cast(Backend, sagemaker_backends[self._account_id][self._region])

    @property
    def _request(self) -> dict[str, Any]:
        """A copy: the backend completes what it is given."""
        return deepcopy({**self.properties, "Tags": [*self.properties.get("Tags", []), *self._tags]})

    def replaced_by(self, properties: dict[str, Any]) -> bool:
        return any(self.properties.get(name) != properties.get(name) for name in self.lasting)

    @abstractmethod
    def create(self) -> None:
        """Raises ResourceError where it does not come into service."""

    def update(self, properties: dict[str, Any]) -> None:
        """Raises ResourceError, and leaves it as it was."""
        raise ResourceError(f"{self.name} can only be replaced by {properties}.")

    @abstractmethod
    def delete(self) -> None:
        """Does nothing where it is gone, or was never made."""

    def is_created(self) -> bool:
        return True

    def _retried(self, act: Callable[[], Done]) -> Done:
        """`act`, again while scaling is at work on what it is to change."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return act()
            except ValidationError as error:
                if "Cannot update" not in error.message or time.monotonic() > deadline:
                    raise
            time.sleep(_POLL)


class EndpointConfigResource(Resource):
    kind = "AWS::SageMaker::EndpointConfig"
    name_property = "EndpointConfigName"
    part_of_arn = "endpoint-config"

    def replaced_by(self, properties: dict[str, Any]) -> bool:
        if properties != self.properties and properties[self.name_property] == self.name:
            raise ResourceError(
                "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename "
                f"{self.name} and update the stack again."
            )
        return properties != self.properties

    def create(self) -> None:
        shapes.check("CreateEndpointConfig", self._request)
        self._backend.put_endpoint_config(self._request)
        self._ours = True

    def delete(self) -> None:
        if self._ours and self.name in self._backend.endpoint_configs:
            self._backend.delete_endpoint_config(self.name)


class EndpointResource(Resource):
    kind = "AWS::SageMaker::Endpoint"
    name_property = "EndpointName"
    part_of_arn = "endpoint"
    lasting = ("EndpointName",)

    @property
    def _endpoint(self) -> Endpoint | None:
        return cast("Endpoint | None", self._backend.endpoints.get(self.name))

    def create(self) -> None:
        shapes.check("CreateEndpoint", self._request)
        self._backend.put_endpoint(self._request)
        self._ours = True
        self._wait()

    def update(self, properties: dict[str, Any]) -> None:
        names = ("EndpointName", "EndpointConfigName", "DeploymentConfig", "RetainAllVariantProperties")
        request = deepcopy({name: properties[name] for name in names if name in properties})
        self._retried(lambda: self._backend.update_endpoint(request))
        self._wait()
        self.properties = properties

    def delete(self) -> None:
        if self._ours and self._endpoint is not None:
            self._retried(lambda: self._backend.delete_endpoint(self.name))
            while self._endpoint is not None:
                time.sleep(_POLL)

    def _wait(self) -> None:
        while (endpoint := self._endpoint) is not None and endpoint.endpoint_status not in _STABLE:
            time.sleep(_POLL)
        if endpoint is None:
            raise ResourceError(f"The endpoint {self.name} is gone.")
        reason = endpoint.response_object.get("FailureReason")
        if reason:
            raise ResourceError(reason)


class InferenceComponentResource(Resource):
    kind = "AWS::SageMaker::InferenceComponent"
    name_property = "InferenceComponentName"
    part_of_arn = "inference-component"
    lasting = ("InferenceComponentName", "EndpointName", "VariantName")

    @property
    def _component(self) -> InferenceComponent | None:
        return self._backend.components.get(self.name)

    def create(self) -> None:
        self._backend.put_component(self._request)
        self._ours = True
        self._wait()

    def update(self, properties: dict[str, Any]) -> None:
        request: dict[str, Any] = {
            name: properties[name]
            for name in ("InferenceComponentName", "Specification", "RuntimeConfig", "DeploymentConfig")
            if name in properties
        }
        self._retried(lambda: self._backend.update_component(request))
        self._wait()
        self.properties = properties

    def delete(self) -> None:
        if self._ours and self._component is not None:
            self._retried(lambda: self._backend.remove_component(self.name))
            while self._component is not None:
                time.sleep(_POLL)

    def _wait(self) -> None:
        while (component := self._component) is not None and component.status not in _STABLE:
            time.sleep(_POLL)
        if component is None:
            raise ResourceError(f"The inference component {self.name} is gone.")
        reason = component.response_object.get("FailureReason")
        if reason:
            raise ResourceError(reason)


TYPES: dict[str, type[Resource]] = {
    one.kind: one for one in (EndpointConfigResource, EndpointResource, InferenceComponentResource)
}
