"""An endpoint's life: Creating, InService, Updating, RollingBack, Failed, Deleting."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.core.utils import utcnow
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import FakeEndpoint

from localcloud.sagemaker import capacity, rolling
from localcloud.sagemaker.fleet import Fleet
from localcloud.sagemaker.instance import StartError
from localcloud.sagemaker.rollout import Rollout, RolloutError

log = logging.getLogger(__name__)


@dataclass
class Deployment:
    """An endpoint configuration, and the fleet made from it."""

    config_name: str
    config: dict[str, Any]  # as CreateEndpointConfig took it
    fleet: Fleet
    deployed_images: dict[str, list[dict[str, Any]]]  # by variant
    copies: Callable[[str], int] = lambda _: 0  # of inference components, by variant

    @property
    def component_variants(self) -> list[dict[str, Any]]:
        """Those whose copies are inference components'."""
        return [one for one in self.config["ProductionVariants"] if "ModelName" not in one]


class Endpoint(FakeEndpoint):
    """moto's endpoint, with processes behind it. Long operations run in a thread, one at a time."""

    def __init__(self, account_id: str, region: str, name: str, tags: list[dict[str, str]]) -> None:
        super().__init__(account_id, region, name, "", [], {}, tags)
        self.endpoint_status = "Creating"
        self._lock = threading.RLock()
        self._current: Deployment | None = None
        self._pending: Deployment | None = None
        self._pending_since = self.creation_time
        self._green_share = 0.0  # of requests that go to the pending fleet
        self._deployment_config: dict[str, Any] | None = None
        self._failure_reason: str | None = None
        self._closing = threading.Event()

    # What requests need

    def fleets_in_service(self) -> list[Fleet]:
        """The fleet for the next request, then others that could take it; none while nothing is in service."""
        with self._lock:
            if self._current is None or self.endpoint_status in ("Creating", "Failed", "Deleting"):
                return []
            old, new = self._current.fleet, self._pending.fleet if self._pending else None
            if new is None or new is old or not self._green_share:
                return [old]
            first_new = random.random() < self._green_share  # noqa: S311 - no secret
            return [new, old] if first_new else [old, new]

    def fleets(self) -> list[Fleet]:
        """All whose instances take requests."""
        with self._lock:
            deployments = [one for one in (self._current, self._pending) if one is not None]
            return list(dict.fromkeys(deployment.fleet for deployment in deployments))

    def component_variant(self, name: str | None) -> dict[str, Any] | None:
        """As its configuration has it; the only one where no name is given."""
        with self._lock:
            variants = self._current.component_variants if self._current else []
        if name is None:
            return variants[0] if len(variants) == 1 else None
        return next((one for one in variants if one["VariantName"] == name), None)

    # Operations

    def create(self, deployment: Deployment, deployment_config: dict[str, Any] | None) -> None:
        self.endpoint_config_name = deployment.config_name
        self._deployment_config = deployment_config
        self._pending = deployment
        self._in_background(lambda: self._bring_up(deployment))

    def _bring_up(self, deployment: Deployment) -> None:
        try:
            deployment.fleet.start()
        except StartError as error:
            self._settle("Failed", str(error))
            return
        with self._lock:
            self._current = deployment
            self._settle("InService", None)

    def move_to(self, deployment: Deployment, rollout: Rollout) -> None:
        """Blue/green: the new fleet comes up beside the old one, takes over, and the old one goes."""
        with self._lock:
            self.require_stable()
            current = self._require_current()
            self._begin("Updating", deployment)
        self._in_background(lambda: self._shift(current, deployment, rollout))

    def _shift(self, blue: Deployment, green: Deployment, rollout: Rollout) -> None:
        had = rolling.counts(blue.fleet)
        try:
            if rollout.rolls:
                rolling.roll(blue.fleet, green.fleet, rollout, self._share, self._closing)
            else:
                green.fleet.start()
                rollout.run(self._share, self._closing)
        except Exception as error:
            with self._lock:
                self.endpoint_status = "RollingBack"
            reason = self._reason(error)
            if rollout.rolls:
                rolling.go_back(blue.fleet, had, rollout.rollback_shares, self._share)
            self._share(0.0)
            green.fleet.stop()
            self._settle("InService", reason)
            return
        with self._lock:
            self._current = green
            self._green_share = 0.0
            self.endpoint_config_name = green.config_name
            self._deployment_config = rollout.config
        self._closing.wait(rollout.termination_wait)
        blue.fleet.stop()
        self._settle("InService", None)

    def _share(self, share: float) -> None:
        with self._lock:
            self._green_share = share

    def resize(
        self,
        wanted: dict[str, tuple[int | None, float | None]],
        ended: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        """Set count and weight of variants; None leaves one as it is. `ended` is told the reason of a failure."""
        with self._lock:
            self.require_stable()
            fleet = self._require_current().fleet
            live = self.live_properties()
            before = {name: live[name] for name in wanted}
            self._begin("Updating", None)
            _set(fleet, wanted)

        def work() -> None:
            reason: str | None = "The embedded cloud failed; its log has the traceback."
            try:
                reason = self._resize(fleet, before)
            finally:
                ended(reason)

        self._in_background(work)

    def _resize(self, fleet: Fleet, before: dict[str, tuple[int, float]]) -> str | None:
        try:
            fleet.resize()
        except Exception as error:
            self.endpoint_status = "RollingBack"
            reason = self._reason(error)
            _set(fleet, before)
            with contextlib.suppress(StartError):  # of one that died meanwhile: the fleet goes on trying
                fleet.resize()
            self._settle("InService", reason)
            return reason
        for variant in fleet.variants.values():
            variant.current_weight = variant.desired_weight
        self._settle("InService", None)
        return None

    def delete(self, forget: Callable[[], None]) -> None:
        with self._lock:
            self.require_stable()
            self._begin("Deleting", None)
            current, self._current = self._current, None

        def end() -> None:
            if current is not None:
                current.fleet.stop()
            forget()

        self._in_background(end)

    def abandon(self) -> None:
        """End everything at once, whatever is going on: the cloud is being reset."""
        self._closing.set()
        for deployment in (self._current, self._pending):
            if deployment is not None:
                deployment.fleet.stop(drain=0)

    def require_stable(self) -> None:
        if self.endpoint_status not in ("InService", "Failed"):
            raise ValidationError(f'Cannot update in-progress endpoint "{self.arn}".')

    def _require_current(self) -> Deployment:
        if self._current is None:
            raise ValidationError(
                f'Cannot update failed endpoint "{self.arn}". Delete it and create it again.'
            )
        return self._current

    def is_created(self) -> bool:
        return self.endpoint_status != "Creating"

    # State

    def _begin(self, status: str, pending: Deployment | None) -> None:
        self.endpoint_status = status
        self.last_modified_time = self._pending_since = utcnow()
        self._pending = pending

    def _settle(self, status: str, failure_reason: str | None) -> None:
        with self._lock:
            self._pending = None
            self._failure_reason = failure_reason
            self.endpoint_status = status
            self.last_modified_time = utcnow()
        log.info("endpoint %s is %s; failure: %s", self.endpoint_name, status, failure_reason)

    def _reason(self, error: Exception) -> str:
        """FailureReason; called where `error` is handled."""
        if isinstance(error, (StartError, RolloutError)):
            return str(error)
        log.exception("endpoint %s", self.endpoint_name)
        return f"The embedded cloud failed: {error!r}"

    def _in_background(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except Exception as error:
                # What serves goes on serving.
                self._settle("InService" if self._current else "Failed", self._reason(error))

        work_on = capacity.carried_on(run)
        threading.Thread(target=work_on, name=f"endpoint {self.endpoint_name}", daemon=True).start()

    # Answers

    @property
    def current_config(self) -> dict[str, Any] | None:
        return self._current.config if self._current else None

    @property
    def last_deployment_config(self) -> dict[str, Any] | None:
        return self._deployment_config

    def live_properties(self) -> dict[str, tuple[int, float]]:
        """Desired count and weight of each variant in service."""
        if self._current is None:
            return {}
        return {v.name: (v.desired_count, v.desired_weight) for v in self._current.fleet.variants.values()}

    def wanted_instances(self) -> Counter[str]:
        """How many instances of each type it is to have."""
        return Counter() if self._current is None else self._current.fleet.wanted_instances()

    @property
    def response_object(self) -> dict[str, Any]:
        with self._lock:
            response: dict[str, Any] = {
                "EndpointName": self.endpoint_name,
                "EndpointArn": self.arn,
                "EndpointConfigName": self.endpoint_config_name,
                "EndpointStatus": self.endpoint_status,
                "CreationTime": self.creation_time,
                "LastModifiedTime": self.last_modified_time,
            }
            if self._failure_reason:
                response["FailureReason"] = self._failure_reason
            if self._deployment_config:
                response["LastDeploymentConfig"] = self._deployment_config
            if self._current is not None:
                response["ProductionVariants"] = _summary(self._current)
                if self._pending is not None:
                    response["PendingDeploymentSummary"] = {
                        "EndpointConfigName": self._pending.config_name,
                        "ProductionVariants": _summary(self._pending),
                        "StartTime": self._pending_since,
                    }
            elif self._pending is not None:
                response["ProductionVariants"] = _summary(self._pending)
            return response


def _set(fleet: Fleet, wanted: dict[str, Any]) -> None:
    for name, (count, weight) in wanted.items():
        variant = fleet.variants[name]
        variant.desired_count = variant.desired_count if count is None else count
        variant.desired_weight = variant.desired_weight if weight is None else weight


def _summary(deployment: Deployment) -> list[dict[str, Any]]:
    return [
        {
            "VariantName": variant.name,
            "DeployedImages": deployment.deployed_images[variant.name],
            "CurrentWeight": variant.current_weight,
            "DesiredWeight": variant.desired_weight,
            "CurrentInstanceCount": deployment.fleet.current_count(variant.name),
            "DesiredInstanceCount": variant.desired_count,
        }
        for variant in deployment.fleet.variants.values()
    ] + [_component_summary(deployment, variant) for variant in deployment.component_variants]


def _component_summary(deployment: Deployment, variant: dict[str, Any]) -> dict[str, Any]:
    """Instances come and go with the copies that are placed on them, within the variant's limits."""
    scaling = variant.get("ManagedInstanceScaling") or {}
    count = variant["InitialInstanceCount"]
    if scaling.get("Status") == "ENABLED":
        copies = deployment.copies(variant["VariantName"])
        least, most = scaling.get("MinInstanceCount", 1), scaling.get("MaxInstanceCount", copies)
        count = max(least, min(most, copies))
    summary = {
        "VariantName": variant["VariantName"],
        "CurrentWeight": variant["InitialVariantWeight"],
        "DesiredWeight": variant["InitialVariantWeight"],
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
    }
    return {**summary, "ManagedInstanceScaling": scaling} if scaling else summary
