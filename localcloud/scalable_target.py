"""A registered variant of an endpoint: its policies, alarms and schedule, and the scaling that comes of them."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Any, cast

from moto.applicationautoscaling.exceptions import AWSValidationException
from moto.applicationautoscaling.models import FakeApplicationAutoscalingPolicy, FakeScalableTarget
from moto.cloudwatch.models import Alarm, CloudWatchBackend, cloudwatch_backends
from moto.core.exceptions import ServiceException
from moto.sagemaker.models import sagemaker_backends

from localcloud import alarms, clock, scaling, scaling_requests
from localcloud.sagemaker.components.backend import COPIES, ComponentBackend
from localcloud.sagemaker.components.component import InferenceComponent
from localcloud.sagemaker.endpoint import Endpoint
from localcloud.scaled_variant import ScaledVariant, Value

_BACKFILLED = 17  # periods that a new alarm looks back at


class EndpointFleet:
    """The variant of an endpoint, which may be updated, deleted and made again meanwhile."""

    def __init__(self, account_id: str, region: str, resource: str) -> None:
        self._account_id, self._region = account_id, region
        _, endpoint_name, _, variant_name = resource.split("/")
        self.dimensions = {"EndpointName": endpoint_name, "VariantName": variant_name}
        self.endpoint_name, self.variant_name = endpoint_name, variant_name
        self.metrics = scaling_requests.METRICS

    def _endpoint(self) -> Endpoint | None:
        found = sagemaker_backends[self._account_id][self._region].endpoints.get(self.endpoint_name)
        return found if isinstance(found, Endpoint) else None

    def capacity(self) -> int | None:
        endpoint = self._endpoint()
        properties = endpoint.live_properties().get(self.variant_name) if endpoint else None
        return properties[0] if properties else None

    def is_blocked(self) -> bool:
        endpoint = self._endpoint()
        return endpoint is None or endpoint.endpoint_status != "InService"

    def resize(self, count: int, ended: Callable[[str | None], None]) -> None:
        endpoint = self._endpoint()
        if endpoint is None:
            ended(f"Endpoint {self.endpoint_name} not found.")
            return
        try:
            endpoint.resize({self.variant_name: (count, None)}, ended)
        except ServiceException as error:  # an update came first
            ended(error.message)


class Copies:
    """Those of an inference component, which may be updated, deleted and made again meanwhile."""

    def __init__(self, account_id: str, region: str, resource: str) -> None:
        self._account_id, self._region = account_id, region
        self._name = resource.partition("/")[2]
        self.dimensions = {"InferenceComponentName": self._name}
        self.metrics = scaling_requests.COMPONENT_METRICS

    def _component(self) -> InferenceComponent | None:
        backend = cast(ComponentBackend, sagemaker_backends[self._account_id][self._region])
        return backend.components.get(self._name)

    def capacity(self) -> int | None:
        component = self._component()
        return component.desired_copies if component else None

    def is_blocked(self) -> bool:
        component = self._component()
        return component is None or component.status != "InService"

    def resize(self, count: int, ended: Callable[[str | None], None]) -> None:
        component = self._component()
        if component is None:
            ended(f"Inference component {self._name} not found.")
            return
        try:
            component.set_copies(count, ended)
        except ServiceException as error:  # an update came first
            ended(error.message)


class Target:
    def __init__(self, target: FakeScalableTarget, account_id: str, region: str) -> None:
        self.target = target
        self._cloudwatch: CloudWatchBackend = cloudwatch_backends[account_id][region]
        kind = Copies if target.scalable_dimension == COPIES else EndpointFleet
        self._fleet: Copies | EndpointFleet = kind(account_id, region, target.resource_id)
        self._policies: dict[str, FakeApplicationAutoscalingPolicy] = {}
        self._triggers: dict[str, list[Alarm]] = {}  # by step policy
        self._watching: dict[str, Alarm] = {}  # which measures a metric, by the scaler's name of it
        self._lock = threading.RLock()
        self._registered = clock.current().now()
        self.scaler = scaling.Scaler(self._limits(), resource=target.resource_id, now=self._registered)
        self._variant = ScaledVariant(self.scaler, self._fleet, self._values, lambda: clock.current().now())
        self.update()

    def update(self) -> None:
        """Minimum, maximum or what is suspended may have been changed."""
        with self._lock:
            self.scaler.set_limits(self._limits())
            self.scaler.suspended = scaling_requests.suspended(self.target.suspended_state)  # type: ignore[arg-type]

    def _limits(self) -> scaling.Limits:
        return scaling.Limits(self.target.min_capacity or 0, self.target.max_capacity or 0)

    # Policies

    def check_policy(self, name: str, kind: str | None, body: dict[str, Any]) -> None:
        try:
            if kind == "TargetTrackingScaling":
                scaling_requests.tracking(name, body, self._fleet.metrics)
            elif kind == "StepScaling":
                scaling_requests.steps(name, body, [])
            else:
                raise NotImplementedError(f"PutScalingPolicy with PolicyType {kind}")
        except scaling.ScalingError as error:
            raise AWSValidationException(str(error)) from error

    def put_policy(self, policy: FakeApplicationAutoscalingPolicy) -> None:
        with self._lock:
            name = policy.policy_name
            body = policy.target_tracking_scaling_policy_configuration
            self._policies[name] = policy
            if body is None:
                self._triggers.pop(name, None)
                self._find_triggers(policy)
                return
            tracking = scaling_requests.tracking(name, body, self._fleet.metrics)
            self.scaler.put_policy(tracking)
            policy.alarms = self._make_alarms(policy, body)
            self._watching[tracking.metric] = policy.alarms[0]
            self._backfill(name)

    def delete_policy(self, name: str) -> None:
        with self._lock:
            policy = self._policies.pop(name)
            if policy.policy_type == "StepScaling":
                policy.alarms = []  # they are not the policy's own, and stay
            self._triggers.pop(name, None)
            self.scaler.delete_policy(name)

    def _make_alarms(self, policy: FakeApplicationAutoscalingPolicy, body: dict[str, Any]) -> list[Alarm]:
        action = f"{policy.policy_arn}:createdBy/{uuid.uuid4()}"
        made = []
        custom = body.get("CustomizedMetricSpecification")
        for watch in self.scaler.alarms(policy.policy_name):
            seen = watch.alarm
            before = self._cloudwatch.alarms.get(seen.name)
            alarm = self._cloudwatch.put_metric_alarm(
                name=seen.name,
                **self._metric_of(seen, custom),
                comparison_operator=seen.comparison,
                evaluation_periods=seen.evaluation_periods,
                threshold=seen.threshold,
                description=f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {action}.",
                alarm_actions=[action],
            )
            alarms.leave_to_scaling(alarm)
            alarms.was_put(self._cloudwatch, alarm, before)
            made.append(alarm)
        return made

    def _metric_of(self, seen: scaling.Alarm, custom: dict[str, Any] | None) -> dict[str, Any]:
        if custom is None:
            pairs = self._fleet.dimensions.items()
            return {
                "namespace": "AWS/SageMaker",
                "metric_name": self._fleet.metrics[seen.metric],
                "dimensions": [{"Name": name, "Value": value} for name, value in pairs],
                "statistic": seen.statistic,
                "period": seen.period,
            }
        if custom.get("Metrics"):
            queries = alarms.queries(custom["Metrics"], seen.period)
            return {
                "namespace": None, "metric_name": None, "dimensions": [], "statistic": None, "period": None,
                "metric_data_queries": queries,
            }  # fmt: skip
        return {
            "namespace": custom["Namespace"],
            "metric_name": custom["MetricName"],
            "dimensions": custom.get("Dimensions") or [],
            "statistic": custom["Statistic"],
            "period": seen.period,
        }

    def triggers(self, policy: FakeApplicationAutoscalingPolicy) -> list[Alarm]:
        """The alarms whose action a policy is."""
        if policy.policy_type != "StepScaling":
            return list(policy.alarms)
        known = list(self._cloudwatch.alarms.values())
        return [alarm for alarm in known if policy.policy_arn in alarm.alarm_actions and alarm.rule is None]

    def _find_triggers(self, policy: FakeApplicationAutoscalingPolicy) -> None:
        """Alarms are put and deleted without word to the policies."""
        found = [alarm for alarm in self.triggers(policy) if alarm.actions_enabled]
        if self._triggers.get(policy.policy_name) == found:
            return
        self._triggers[policy.policy_name] = found
        self._watching |= {scaling_requests.trigger_key(alarm): alarm for alarm in found}
        body = policy.step_scaling_policy_configuration or {}
        self.scaler.put_policy(scaling_requests.steps(policy.policy_name, body, found))
        self._backfill(policy.policy_name)

    def _backfill(self, policy: str) -> None:
        """A new alarm looks at what was measured before it was made."""
        now = clock.current().now()
        for watch in self.scaler.alarms(policy):
            period = watch.alarm.period
            value = self._measured(watch.alarm.metric, period)
            newest = int(now // period)
            for number in range(newest - _BACKFILLED, newest):
                if (found := value(number)) is not None:
                    watch.put((number + 1) * period, found)

    # Schedule

    def put_scheduled(self, request: dict[str, Any]) -> None:
        with self._lock:
            try:
                self.scaler.put_scheduled(scaling_requests.scheduled(request), clock.current().now())
            except scaling.ScalingError as error:
                raise AWSValidationException(str(error)) from error

    def delete_scheduled(self, name: str) -> None:
        with self._lock:
            self.scaler.delete_scheduled(name)

    # Work

    def beat(self, now: float) -> None:
        with self._lock:
            for policy in self._policies.values():
                if policy.policy_type == "StepScaling":
                    self._find_triggers(policy)
            self._variant.beat(now)
            limits = self.scaler.limits  # a scheduled action may have changed them
            self.target.min_capacity, self.target.max_capacity = limits.minimum, limits.maximum
            for policy in self._policies.values():
                if policy.policy_type == "TargetTrackingScaling":
                    self._show(policy, now)

    def _show(self, policy: FakeApplicationAutoscalingPolicy, now: float) -> None:
        for watch, alarm in zip(self.scaler.alarms(policy.policy_name), policy.alarms, strict=True):
            alarms.show(self._cloudwatch, alarm, watch, now)

    def _values(self, metric: str, period: int) -> Value:
        measured = self._measured(metric, period)
        if metric not in self._fleet.metrics:
            return measured

        def of_variant(number: int) -> float | None:
            """No request is a value of zero, from the first period on in which there was a target."""
            found = measured(number)
            return 0.0 if found is None and (number + 1) * period > self._registered else found

        return of_variant

    def _measured(self, metric: str, period: int) -> Value:
        return alarms.source(self._cloudwatch, self._watching[metric], period)
