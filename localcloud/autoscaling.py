"""Application Auto Scaling: variants of endpoints scale; the targets of other services are only kept."""

from __future__ import annotations

import json
import logging
from collections import deque
from enum import Enum
from typing import Any, cast

from moto.applicationautoscaling import models, responses, urls
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

from localcloud import accepted, clock, gaps, heartbeat
from localcloud.config import Config
from localcloud.sagemaker.backend import SCALED_COUNT
from localcloud.sagemaker.components.backend import COPIES, ComponentBackend
from localcloud.scalable_target import Target
from localcloud.scaling import Activity

log = logging.getLogger(__name__)

_SAGEMAKER = "sagemaker"
_PAST_ACTIVITIES = 1000  # kept of targets that are registered no more

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
        self.scaled: dict[str, Target] = {}  # by resource id
        self._past: deque[tuple[str, Activity]] = deque(maxlen=_PAST_ACTIVITIES)

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
        if request["ServiceNamespace"] == _SAGEMAKER:
            self._check_resource(resource, dimension)
        else:
            accepted.warn("RegisterScalableTarget of other services")

    def _check_resource(self, resource: str, dimension: str) -> None:
        if dimension == COPIES:
            sagemaker = cast(ComponentBackend, sagemaker_backends[self.account_id][self.region_name])
            if resource.partition("/")[2] not in sagemaker.components:
                raise AWSValidationException(f"SageMaker inference component doesn't exist: {resource}")
            return
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

    def register_scalable_target(self, *args: Any, **kwargs: Any) -> FakeScalableTarget:
        target = super().register_scalable_target(*args, **kwargs)
        if target.service_namespace == _SAGEMAKER:
            if target.resource_id in self.scaled:
                self.scaled[target.resource_id].update()
            else:
                self.scaled[target.resource_id] = Target(target, self.account_id, self.region_name)
        return target

    def put_scaling_policy(
        self,
        policy_name: str,
        service_namespace: str,
        resource_id: str,
        scalable_dimension: str,
        policy_body: dict[str, Any],
        policy_type: str | None,
    ) -> FakeApplicationAutoscalingPolicy:
        self._require_target(service_namespace, resource_id, scalable_dimension)
        scaled = self.scaled.get(resource_id)
        key = FakeApplicationAutoscalingPolicy.formulate_key(
            service_namespace, resource_id, scalable_dimension, policy_name
        )
        before = self.policies.get(key)
        if scaled is not None:
            kind = policy_type or (before.policy_type if before else None)
            scaled.check_policy(policy_name, kind, policy_body)
        policy = super().put_scaling_policy(
            policy_name, service_namespace, resource_id, scalable_dimension, policy_body, policy_type
        )
        if before is not None:
            policy.policy_arn, policy.creation_time = before.policy_arn, before.creation_time
            if before.policy_type == "TargetTrackingScaling":
                before.delete_alarms(self.account_id, self.region_name)
        if scaled is not None:
            scaled.put_policy(policy)
        return policy

    def delete_scaling_policy(
        self, policy_name: str, service_namespace: str, resource_id: str, scalable_dimension: str
    ) -> None:
        scaled = self.scaled.get(resource_id)
        key = FakeApplicationAutoscalingPolicy.formulate_key(
            service_namespace, resource_id, scalable_dimension, policy_name
        )
        if key not in self.policies:
            raise ObjectNotFound(
                f"No scaling policy found for service namespace: {service_namespace}, resource ID: {resource_id}, "
                f"scalable dimension: {scalable_dimension}, policy name: {policy_name}"
            )
        if scaled is not None:
            scaled.delete_policy(policy_name)
        super().delete_scaling_policy(policy_name, service_namespace, resource_id, scalable_dimension)

    def deregister_scalable_target(self, namespace: str, r_id: str, dimension: str) -> None:
        """As AWS does, with the target's policies and scheduled actions."""
        self._require_target(namespace, r_id, dimension)
        super().deregister_scalable_target(namespace, r_id, dimension)
        for policy in list(self.policies.values()):
            if (policy.resource_id, policy.scalable_dimension) == (r_id, dimension):
                self.delete_scaling_policy(policy.policy_name, namespace, r_id, dimension)
        self.scheduled_actions = [
            action
            for action in self.scheduled_actions
            if (action.resource_id, action.scalable_dimension) != (r_id, dimension)
        ]
        scaled = self.scaled.pop(r_id, None)
        if scaled is not None:
            self._past.extend((r_id, activity) for activity in scaled.scaler.activities)

    def put_scheduled(self, request: dict[str, Any]) -> None:
        namespace, resource = request["ServiceNamespace"], request["ResourceId"]
        self._require_target(namespace, resource, request["ScalableDimension"])
        if resource in self.scaled:
            self.scaled[resource].put_scheduled(request)

    def delete_scheduled_action(
        self, service_namespace: str, scheduled_action_name: str, resource_id: str, scalable_dimension: str
    ) -> None:
        before = len(self.scheduled_actions)
        super().delete_scheduled_action(
            service_namespace, scheduled_action_name, resource_id, scalable_dimension
        )
        if len(self.scheduled_actions) == before:
            raise ObjectNotFound(
                f"No scheduled action found for service namespace: {service_namespace}, resource ID: {resource_id}, "
                f"scalable dimension: {scalable_dimension}, scheduled action name: {scheduled_action_name}"
            )
        if resource_id in self.scaled:
            self.scaled[resource_id].delete_scheduled(scheduled_action_name)

    def _require_target(self, namespace: str, resource: str, dimension: str) -> None:
        if not self._scalable_target_exists(resource, dimension):
            raise ObjectNotFound(
                f"No scalable target registered for service namespace: {namespace}, resource ID: {resource}, "
                f"scalable dimension: {dimension}"
            )

    def activities(self, resource: str | None) -> list[tuple[str, Activity]]:
        """The newest first, of one target or of all."""
        found = list(self._past)
        for name, scaled in list(self.scaled.items()):
            found += [(name, activity) for activity in list(scaled.scaler.activities)]
        found = [one for one in found if resource in (None, one[0])]
        found.reverse()  # of two at the same time, the later one comes first, too
        found.sort(key=lambda one: one[1].started, reverse=True)
        return found


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

    def describe_scaling_policies(self) -> str:
        """moto knows no filter by name, and takes part of a resource's name for it."""
        answer = json.loads(super().describe_scaling_policies())
        request = json.loads(self.body)
        names, resource = request.get("PolicyNames"), request.get("ResourceId")
        found = []
        for entry in answer["ScalingPolicies"]:
            fits = not names or entry["PolicyName"] in names
            if fits and resource in (None, entry["ResourceId"]):
                found.append({**entry, "Alarms": self._alarms(entry)})
        return json.dumps({**answer, "ScalingPolicies": found})

    def _alarms(self, entry: dict[str, Any]) -> list[dict[str, str]]:
        scaled = self._backend.scaled.get(entry["ResourceId"])
        key = FakeApplicationAutoscalingPolicy.formulate_key(
            entry["ServiceNamespace"], entry["ResourceId"], entry["ScalableDimension"], entry["PolicyName"]
        )
        if scaled is None:
            return list(entry["Alarms"])
        triggers = scaled.triggers(self._backend.policies[key])
        return [{"AlarmName": alarm.name, "AlarmARN": alarm.alarm_arn} for alarm in triggers]

    def put_scheduled_action(self) -> str:
        self._backend.put_scheduled(json.loads(self.body))
        return super().put_scheduled_action()

    def describe_scaling_activities(self) -> str:
        request = json.loads(self.body)
        namespace, dimension = request["ServiceNamespace"], request.get("ScalableDimension")
        if namespace != _SAGEMAKER:
            raise NotImplementedError(f"DescribeScalingActivities of {namespace}, which does not scale here")
        if dimension not in (None, SCALED_COUNT, COPIES):
            return json.dumps({"ScalingActivities": []})
        found = [
            _describe(resource, activity)
            for resource, activity in self._backend.activities(request.get("ResourceId"))
            if (request.get("IncludeNotScaledActivities") or not activity.reasons)
            and dimension in (None, _dimension(resource))
        ]
        start, size = int(request.get("NextToken") or 0), int(request.get("MaxResults") or 50)
        more = {"NextToken": str(start + size)} if start + size < len(found) else {}
        return json.dumps({"ScalingActivities": found[start : start + size], **more})

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


def _dimension(resource: str) -> str:
    return COPIES if resource.startswith("inference-component/") else SCALED_COUNT


def _describe(resource: str, activity: Activity) -> dict[str, Any]:
    real = clock.current().real
    answer: dict[str, Any] = {
        "ActivityId": activity.id,
        "ServiceNamespace": _SAGEMAKER,
        "ResourceId": resource,
        "ScalableDimension": _dimension(resource),
        "Description": activity.description,
        "Cause": activity.cause,
        "StartTime": real(activity.started),
        "StatusCode": activity.status,
    }
    if activity.ended is not None:
        answer["EndTime"] = real(activity.ended)
    if activity.message:
        answer["StatusMessage"] = activity.message
    if activity.reasons:
        answer["NotScaledReasons"] = [reason.to_dict() for reason in activity.reasons]
    return answer


def _scale(now: float) -> None:
    for regions in list(applicationautoscaling_backends.values()):
        for backend in list(regions.values()):
            for resource, scaled in list(cast(Backend, backend).scaled.items()):
                try:
                    scaled.beat(now)
                except Exception:
                    log.exception("%s cannot be scaled", resource)


def _know_copies() -> None:
    """moto's list of dimensions is older than inference components."""
    known = {one.name: one.value for one in models.ScalableDimensionValueSet}
    extended = Enum("ScalableDimensionValueSet", known | {"SAGEMAKER_INFERENCE_COMPONENT_COPIES": COPIES})  # type: ignore[misc]
    for module in (models, responses):
        vars(module)["ScalableDimensionValueSet"] = extended


def install(_: Config) -> None:
    _know_copies()
    gaps.replace_backend(applicationautoscaling_backends, Backend, urls)
    gaps.replace_responses(urls, ApplicationAutoScaling)
    heartbeat.every_ten_seconds(_scale)
