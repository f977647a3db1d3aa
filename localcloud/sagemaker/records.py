"""Models and endpoint configurations that answer what they were created with.

moto's own drop fields that they do not know (EnableNetworkIsolation, VpcConfig of a configuration) and answer
empty blocks for those that were not given (VpcConfig of a model): Terraform would plan a replacement for either.
"""

from __future__ import annotations

from typing import Any

from moto.sagemaker.models import FakeEndpointConfig, Model
from moto.sagemaker.utils import arn_formatter

from localcloud.actors import Actor

SERVICE = "sagemaker.amazonaws.com"


class ModelRecord(Model):
    def __init__(self, account_id: str, region: str, request: dict[str, Any]) -> None:
        self._account_id, self._region = account_id, region
        super().__init__(
            account_id,
            region,
            request["ModelName"],
            request.get("ExecutionRoleArn", ""),
            request.get("PrimaryContainer") or {},
            request.get("VpcConfig") or {},
            request.get("Containers"),
            list(request.get("Tags") or []),
        )
        self.request = {"EnableNetworkIsolation": False, **_without_tags(request)}

    @property
    def all_containers(self) -> list[dict[str, Any]]:
        return self.containers or [self.primary_container]

    def actor(self, kind: str, name: str) -> Actor:
        """Who its containers are in an endpoint or a job of that name."""
        vpc = self.request.get("VpcConfig") or {}
        return Actor(
            role=self.request.get("ExecutionRoleArn", ""),
            account_id=self._account_id,
            region=self._region,
            service=SERVICE,
            arn=str(arn_formatter(kind, name, self._account_id, self._region)),
            subnets=tuple(vpc.get("Subnets") or ()),
            groups=tuple(vpc.get("SecurityGroupIds") or ()),
        )

    @property
    def isolated(self) -> bool:
        return bool(self.request["EnableNetworkIsolation"])

    @property
    def response_object(self) -> dict[str, Any]:
        return {**self.request, "ModelArn": self.arn, "CreationTime": self.creation_time}

    def is_created(self) -> bool:
        return True


class EndpointConfigRecord(FakeEndpointConfig):
    def __init__(self, account_id: str, region: str, request: dict[str, Any]) -> None:
        for variant in request["ProductionVariants"]:
            variant.setdefault("InitialVariantWeight", 1.0)
        super().__init__(
            account_id,
            region,
            request["EndpointConfigName"],
            request["ProductionVariants"],
            {},
            request.get("DataCaptureConfig") or {},
            list(request.get("Tags") or []),
            request.get("KmsKeyId", ""),
        )
        # moto makes it a tuple, which the tagging API cannot answer with
        self.arn = self.endpoint_config_arn  # type: ignore[assignment]
        self.request = _without_tags(request)

    @property
    def response_object(self) -> dict[str, Any]:
        return {
            **self.request,
            "EndpointConfigArn": self.endpoint_config_arn,
            "CreationTime": self.creation_time,
        }

    def is_created(self) -> bool:
        return True


def _without_tags(request: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name != "Tags" and value is not None}
