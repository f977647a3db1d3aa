"""Application Auto Scaling: tags, and AWS's checks that moto leaves out. Nothing scales yet."""

from __future__ import annotations

import json
from typing import Any, cast

from moto.applicationautoscaling import urls
from moto.applicationautoscaling.exceptions import AWSValidationException
from moto.applicationautoscaling.models import (
    ApplicationAutoscalingBackend,
    FakeApplicationAutoscalingPolicy,
    FakeScalableTarget,
    applicationautoscaling_backends,
)
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.core.exceptions import JsonRESTError
from moto.sagemaker.models import sagemaker_backends
from moto.utilities.tagging_service import TaggingService

from localcloud import gaps
from localcloud.config import Config

_SERVICE_LINKED_ROLES = {  # the role that AWS makes for each service
    "sagemaker": "SageMakerEndpoint",
    "lambda": "LambdaConcurrency",
    "ecs": "ECSService",
    "dynamodb": "DynamoDBTable",
}


class ObjectNotFound(JsonRESTError):
    def __init__(self, message: str) -> None:
        super().__init__("ObjectNotFoundException", message)


class ResourceNotFound(JsonRESTError):
    def __init__(self, arn: str) -> None:
        message = f"The resource ARN {arn} is not that of a scalable target."
        super().__init__("ResourceNotFoundException", message)


class Backend(ApplicationAutoscalingBackend):
    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.tagger = TaggingService()

    def check_target(self, request: dict[str, Any]) -> None:
        resource, dimension = request["ResourceId"], request["ScalableDimension"]
        known = self.targets.get(dimension, {}).get(resource)
        least = request.get("MinCapacity", known.min_capacity if known else None)
        most = request.get("MaxCapacity", known.max_capacity if known else None)
        if least is None or most is None:
            raise AWSValidationException(
                "Both minimum and maximum capacity must be given when a scalable target is registered."
            )
        if least > most:
            raise AWSValidationException("Maximum capacity cannot be less than minimum capacity")
        if request["ServiceNamespace"] == "sagemaker":
            self._check_variant(resource)

    def _check_variant(self, resource: str) -> None:
        _, endpoint_name, _, variant_name = [*resource.split("/"), "", "", ""][:4]
        endpoint = sagemaker_backends[self.account_id][self.region_name].endpoints.get(endpoint_name)
        variants = endpoint.response_object.get("ProductionVariants", []) if endpoint else []
        if variant_name not in {variant["VariantName"] for variant in variants}:
            raise AWSValidationException(f"SageMaker variant doesn't exist: {resource}")

    def role_arn(self, namespace: str) -> str:
        name = f"AWSServiceRoleForApplicationAutoScaling_{_SERVICE_LINKED_ROLES.get(namespace, namespace)}"
        service = f"{namespace}.application-autoscaling.amazonaws.com"
        return f"arn:{self.partition}:iam::{self.account_id}:role/aws-service-role/{service}/{name}"

    def target(self, arn: str) -> FakeScalableTarget:
        for targets in self.targets.values():
            for target in targets.values():
                if target.arn == arn:
                    return target
        raise ResourceNotFound(arn)

    def put_scaling_policy(
        self,
        policy_name: str,
        service_namespace: str,
        resource_id: str,
        scalable_dimension: str,
        policy_body: dict[str, Any],
        policy_type: str | None,
    ) -> FakeApplicationAutoscalingPolicy:
        if not self._scalable_target_exists(resource_id, scalable_dimension):
            raise ObjectNotFound(
                f"No scalable target registered for service namespace: {service_namespace}, resource ID: "
                f"{resource_id}, scalable dimension: {scalable_dimension}"
            )
        return super().put_scaling_policy(
            policy_name, service_namespace, resource_id, scalable_dimension, policy_body, policy_type
        )

    def deregister_scalable_target(self, namespace: str, r_id: str, dimension: str) -> None:
        """As AWS does, with the target's policies."""
        super().deregister_scalable_target(namespace, r_id, dimension)
        for policy in list(self.policies.values()):
            if (policy.resource_id, policy.scalable_dimension) == (r_id, dimension):
                self.delete_scaling_policy(policy.policy_name, namespace, r_id, dimension)


class ApplicationAutoScaling(ApplicationAutoScalingResponse):
    @property
    def _backend(self) -> Backend:
        return cast(Backend, self.applicationautoscaling_backend)

    def register_scalable_target(self) -> str:
        self._validate_params()
        request = json.loads(self.body)
        self._backend.check_target(request)
        answer = super().register_scalable_target()
        target = self._backend.targets[request["ScalableDimension"]][request["ResourceId"]]
        target.role_arn = (
            request.get("RoleARN") or target.role_arn or self._backend.role_arn(target.service_namespace)
        )
        self._tag(target.arn, request.get("Tags") or {})
        return answer

    def list_tags_for_resource(self) -> str:
        arn = self._backend.target(self._get_param("ResourceARN")).arn
        return json.dumps({"Tags": self._backend.tagger.get_tag_dict_for_resource(arn)})

    def tag_resource(self) -> str:
        self._tag(self._backend.target(self._get_param("ResourceARN")).arn, self._get_param("Tags"))
        return "{}"

    def untag_resource(self) -> str:
        arn = self._backend.target(self._get_param("ResourceARN")).arn
        self._backend.tagger.untag_resource_using_names(arn, self._get_param("TagKeys"))
        return "{}"

    def _tag(self, arn: str, tags: dict[str, str]) -> None:
        self._backend.tagger.tag_resource(arn, TaggingService.convert_dict_to_tags_input(tags))


def install(_: Config) -> None:
    gaps.replace_backend(applicationautoscaling_backends, Backend, urls)
    gaps.replace_responses(urls, ApplicationAutoScaling)
