"""What a plan leaves behind, as our own rules look at it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ops.policy.plans import account_of, stage_of
from ops.review.resources import Resource, of_types, resources


@dataclass(frozen=True)
class Container:
    """A model's container, and the SageMaker model that it is of."""

    resource: Resource
    image: str | None  # None: not known yet
    archive: str | None
    variables: dict[str, Any]


@dataclass(frozen=True)
class EndpointConfiguration:
    """An endpoint's configuration, of Terraform's or in a CloudFormation stack."""

    resource: Resource
    instance_types: tuple[str, ...]
    has_key: bool
    capture_uri: str | None


@dataclass(frozen=True)
class Scene:
    """All that will be there after the apply."""

    plan: dict[str, Any]

    @cached_property
    def resources(self) -> list[Resource]:
        return [one for one in resources(self.plan) if one.action not in {"destroy", "forget"}]

    @property
    def is_prod(self) -> bool:
        return stage_of(self.plan) == "prod"

    @property
    def account(self) -> str | None:
        return account_of(self.plan)

    def of(self, *types: str) -> list[Resource]:
        """Return the resources of these types."""
        return of_types(self.resources, *types)

    @cached_property
    def buckets(self) -> set[str]:
        """The names of the stage's own buckets."""
        return {one.will("bucket") for one in self.of("aws_s3_bucket") if one.will("bucket")}

    @property
    def declares_a_key(self) -> bool:
        """Whether the stage names a KMS key of its own for anything."""
        return any(_keys(entry.get("value")) for entry in self.plan.get("variables", {}).values())

    @property
    def containers(self) -> Iterator[Container]:
        """Yield the containers of all models."""
        for one in self.of("aws_sagemaker_model"):
            for block in ("primary_container", "container"):
                for container in one.will(block) or []:
                    yield Container(
                        one,
                        container.get("image"),
                        container.get("model_data_url"),
                        container.get("environment") or {},
                    )

    @property
    def endpoint_configurations(self) -> Iterator[EndpointConfiguration]:
        """Yield the configurations of all endpoints."""
        for one in self.of("aws_sagemaker_endpoint_configuration"):
            types = (variant.get("instance_type") for variant in one.will("production_variants") or [])
            capture = one.will("data_capture_config", 0, "destination_s3_uri")
            has_key = bool(one.will("kms_key_arn")) or not one.knows("kms_key_arn")
            yield EndpointConfiguration(one, tuple(filter(None, types)), has_key, capture)
        for one in self.of("aws_cloudformation_stack"):
            for properties in _of_stack(one, "AWS::SageMaker::EndpointConfig"):
                types = (variant.get("InstanceType") for variant in properties.get("ProductionVariants", []))
                capture = properties.get("DataCaptureConfig", {}).get("DestinationS3Uri")
                yield EndpointConfiguration(
                    one, tuple(filter(None, types)), "KmsKeyId" in properties, capture
                )


def statements(policy: Any) -> list[dict[str, Any]]:
    """Return the statements of a policy document; none of one that is not known or not JSON."""
    try:
        document = json.loads(policy) if isinstance(policy, str) else policy
    except ValueError:
        return []
    found = document.get("Statement", []) if isinstance(document, dict) else []
    return found if isinstance(found, list) else [found]


def as_list(value: Any) -> list[Any]:
    """Return one or many, as policies have them, as a list."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _of_stack(stack: Resource, kind: str) -> Iterator[dict[str, Any]]:
    try:
        template = json.loads(stack.will("template_body") or "{}")
    except ValueError:
        return
    for each in template.get("Resources", {}).values():
        if each.get("Type") == kind:
            yield each.get("Properties", {})


def _keys(value: Any) -> bool:
    if isinstance(value, dict):
        return any(
            bool(each) if name.endswith("kms_key_arn") else _keys(each) for name, each in value.items()
        )
    return False
