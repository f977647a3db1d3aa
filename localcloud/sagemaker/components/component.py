"""An inference component's life: Creating, InService, Updating, Failed, Deleting."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.core.utils import utcnow
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.utils import arn_formatter

from localcloud.sagemaker.fleet import Fleet, Variant
from localcloud.sagemaker.instance import Host, InstanceSpec, StartError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ComponentSpec(InstanceSpec):
    """What a copy is made from."""

    component_name: str = ""
    concurrency_metric: str = "ConcurrentRequestsPerCopy"

    @property
    def what(self) -> str:
        return f"inference component {self.component_name}"

    @property
    def log_group(self) -> str:
        return f"/aws/sagemaker/InferenceComponents/{self.component_name}"

    @property
    def dimensions(self) -> dict[str, str]:
        return {"InferenceComponentName": self.component_name}

    def usage(self, instance_id: str) -> dict[str, dict[str, str]]:
        return {**super().usage(instance_id), "/aws/sagemaker/InferenceComponents": self.dimensions}


class InferenceComponent:
    """Copies are processes. Each stands for a place on an instance that there is, or that comes with it."""

    def __init__(
        self,
        request: dict[str, Any],
        endpoint_arn: str,
        spec: ComponentSpec,
        image: dict[str, Any],
        host: Host,
    ) -> None:
        self.name = spec.component_name
        self.endpoint_name, self.variant_name = spec.endpoint_name, spec.variant_name
        self.arn = str(arn_formatter("inference-component", self.name, spec.account_id, spec.region))
        self.tags: list[dict[str, str]] = list(request.get("Tags") or [])
        self.status = "Creating"
        self.deleted = threading.Event()
        self._endpoint_arn = endpoint_arn
        self._specification: dict[str, Any] = request["Specification"]
        self._image = image
        self._host = host
        self._failure: str | None = None
        self._created = self._modified = utcnow()
        self._lock = threading.RLock()
        self._fleet = self._made(spec, request["RuntimeConfig"]["CopyCount"])

    def _made(self, spec: ComponentSpec, copies: int) -> Fleet:
        return Fleet([Variant(spec, copies, 1.0, 1.0)], self._host)

    @property
    def _variant(self) -> Variant:
        return self._fleet.variants[self.variant_name]

    # What requests and scaling need

    @property
    def fleet(self) -> Fleet:
        return self._fleet

    @property
    def desired_copies(self) -> int:
        return self._variant.desired_count

    @property
    def copies(self) -> int:
        return self._fleet.current_count(self.variant_name)

    # Operations

    def create(self) -> None:
        def bring_up() -> None:
            self._fleet.start()
            self._settle("InService", None)

        self._in_background(bring_up)

    def update(
        self, specification: dict[str, Any], spec: ComponentSpec, image: dict[str, Any], copies: int
    ) -> None:
        """Copies of the new specification come up, take over, and the old ones go. What fails changes nothing."""
        with self._lock:
            self._begin("Updating")
            old, new = self._fleet, self._made(spec, copies)

        def shift() -> None:
            try:
                new.start()
            except Exception as error:
                self._settle("InService", self._reason(error))
                return
            with self._lock:
                self._fleet, self._specification, self._image = new, specification, image
            old.stop()
            self._settle("InService", None)

        self._in_background(shift)

    def set_copies(self, count: int, ended: Callable[[str | None], None] = lambda _: None) -> None:
        """`ended` is told the reason of a failure, from any thread."""
        with self._lock:
            self._begin("Updating")
            before, variant = self.desired_copies, self._variant
            variant.desired_count = count

        def resize() -> None:
            reason: str | None = None
            try:
                self._fleet.resize()
            except Exception as error:
                reason = self._reason(error)
                variant.desired_count = before
                with contextlib.suppress(Exception):  # the fleet goes on trying
                    self._fleet.resize()
            self._settle("InService", reason)
            ended(reason)

        self._in_background(resize)

    def delete(self, forget: Callable[[], None]) -> None:
        with self._lock:
            self._begin("Deleting")

        def end() -> None:
            self._fleet.stop()
            forget()
            self.deleted.set()

        self._in_background(end)

    def abandon(self) -> None:
        self._fleet.stop(drain=0)

    def _begin(self, status: str) -> None:
        if self.status not in ("InService", "Failed") or (self.status == "Failed" and status == "Updating"):
            raise ValidationError(
                f'Cannot update inference component "{self.arn}" with status {self.status}.'
            )
        self.status = status
        self._modified = utcnow()

    def _settle(self, status: str, failure: str | None) -> None:
        with self._lock:
            self.status, self._failure, self._modified = status, failure, utcnow()
        log.info("inference component %s is %s; failure: %s", self.name, status, failure)

    def _reason(self, error: Exception) -> str:
        """FailureReason; called where `error` is handled."""
        if isinstance(error, StartError):
            return str(error)
        log.exception("inference component %s", self.name)
        return f"The embedded cloud failed: {error!r}"

    def _in_background(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except Exception as error:
                self._settle("Failed", self._reason(error))

        threading.Thread(target=run, name=f"inference component {self.name}", daemon=True).start()

    # Answers

    @property
    def summary(self) -> dict[str, Any]:
        return {
            "InferenceComponentName": self.name,
            "InferenceComponentArn": self.arn,
            "EndpointName": self.endpoint_name,
            "EndpointArn": self._endpoint_arn,
            "VariantName": self.variant_name,
            "InferenceComponentStatus": self.status,
            "CreationTime": self._created,
            "LastModifiedTime": self._modified,
        }

    @property
    def response_object(self) -> dict[str, Any]:
        with self._lock:
            specification = {
                name: value for name, value in self._specification.items() if name != "Container"
            }
            container = self._specification.get("Container")
            if container:
                shown = {name: value for name, value in container.items() if name != "Image"}
                specification["Container"] = {**shown, "DeployedImage": self._image}
            return {
                **self.summary,
                **({"FailureReason": self._failure} if self._failure else {}),
                "Specification": specification,
                "RuntimeConfig": {"DesiredCopyCount": self.desired_copies, "CurrentCopyCount": self.copies},
            }
