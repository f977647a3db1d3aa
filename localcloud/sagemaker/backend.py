"""moto's SageMaker backend with models, endpoint configurations and endpoints as AWS keeps them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from moto.applicationautoscaling.models import applicationautoscaling_backends
from moto.core.utils import utcnow
from moto.sagemaker.exceptions import ValidationError

from localcloud import accepted, quotas
from localcloud.actors import Actor
from localcloud.authorization import Denied
from localcloud.sagemaker import archive
from localcloud.sagemaker.capture import Capture
from localcloud.sagemaker.components import requests as component_requests
from localcloud.sagemaker.endpoint import Deployment, Endpoint
from localcloud.sagemaker.fleet import Fleet, Variant
from localcloud.sagemaker.instance import STARTUP_TIMEOUT, InstanceSpec
from localcloud.sagemaker.jobs.storage import Location
from localcloud.sagemaker.notebooks import NotebookBackend
from localcloud.sagemaker.records import EndpointConfigRecord, ModelRecord
from localcloud.sagemaker.rollout import Rollout

SCALED_COUNT = "sagemaker:variant:DesiredInstanceCount"


class Backend(NotebookBackend):
    def reset(self) -> None:
        for endpoint in self.endpoints.values():
            if isinstance(endpoint, Endpoint):
                endpoint.abandon()
        super().reset()

    # Models

    def put_model(self, request: dict[str, Any]) -> ModelRecord:
        name = request["ModelName"]
        if name in self._models:
            raise ValidationError(f'Cannot create already existing model "{self._arn("model", name)}".')
        model = ModelRecord(self.account_id, self.region_name, request)
        self._check_role(model, name)
        self._models[name] = model
        if request.get("EnableNetworkIsolation"):
            accepted.warn("CreateModel with EnableNetworkIsolation")
        return model

    def _check_role(self, model: ModelRecord, name: str) -> None:
        actor = model.actor("model", name).outside
        if not actor.assumable():
            raise ValidationError(
                f"Could not assume role {actor.role}. Please ensure that the role exists and allows principal "
                f"'{actor.service}' to assume the role."
            )
        for container in model.all_containers:
            url = container.get("ModelDataUrl")
            if not url:
                continue
            key = archive.find(url, self.account_id)
            if key is None:
                raise ValidationError(f"Could not find model data at {url}.")
            try:
                actor.check_read(key)
            except Denied as error:
                raise ValidationError(
                    f'Could not access model data at {url}. Please ensure that the role "{actor.role}" exists and '
                    'that its trust relationship policy allows the action "sts:AssumeRole" for the service principal '
                    f'"{actor.service}". Also ensure that the role has "s3:GetObject" permissions and that the object '
                    f"is located in {self.region_name}. ({error.message})"
                ) from error

    # Endpoint configurations

    def put_endpoint_config(self, request: dict[str, Any]) -> EndpointConfigRecord:
        name = request["EndpointConfigName"]
        if name in self.endpoint_configs:
            arn = self._arn("endpoint-config", name)
            raise ValidationError(f'Cannot create already existing endpoint configuration "{arn}".')
        _refuse_what_would_not_run(request)
        variants: list[dict[str, Any]] = request["ProductionVariants"]
        names = [variant["VariantName"] for variant in variants]
        if len(set(names)) < len(names):
            raise ValidationError(f"Production variant names must be unique, received {names}.")
        self.validate_production_variants([one for one in variants if "ModelName" in one])
        for variant in variants:
            if "ModelName" not in variant:
                component_requests.check_variant(variant, request)
        config = EndpointConfigRecord(self.account_id, self.region_name, request)
        self.endpoint_configs[name] = config
        return config

    # Endpoints

    def put_endpoint(self, request: dict[str, Any]) -> Endpoint:
        name = request["EndpointName"]
        if name in self.endpoints:
            raise ValidationError(f'Cannot create already existing endpoint "{self._arn("endpoint", name)}".')
        config = self._config(request["EndpointConfigName"])
        deployment = self._deployment(name, config, {})
        self._admit(deployment)
        endpoint = Endpoint(self.account_id, self.region_name, name, request.get("Tags") or [])
        self.endpoints[name] = endpoint
        endpoint.create(deployment, request.get("DeploymentConfig"))
        return endpoint

    def update_endpoint(self, request: dict[str, Any]) -> Endpoint:
        endpoint = self._endpoint(request["EndpointName"])
        config = self._config(request["EndpointConfigName"])
        endpoint.require_stable()
        self._protect_scaled_variants(endpoint, config)
        keep: dict[str, tuple[int | None, float | None]] = {}
        if request.get("RetainAllVariantProperties"):
            excluded = {
                one["VariantPropertyType"] for one in request.get("ExcludeRetainedVariantProperties") or []
            }
            keep = {
                variant: (
                    None if "DesiredInstanceCount" in excluded else count,
                    None if "DesiredWeight" in excluded else weight,
                )
                for variant, (count, weight) in endpoint.live_properties().items()
            }
        deployment = self._deployment(endpoint.endpoint_name, config, keep)
        deployment_config = request.get("DeploymentConfig")
        if deployment_config is None and request.get("RetainDeploymentConfig"):
            deployment_config = endpoint.last_deployment_config
        if not (deployment_config or {}).get("RollingUpdatePolicy"):  # two fleets at a time
            self._admit(deployment)
        size = sum(variant.desired_count for variant in deployment.fleet.variants.values())
        endpoint.move_to(deployment, Rollout(deployment_config, size, self.account_id, self.region_name))
        return endpoint

    def _admit(self, deployment: Deployment) -> None:
        used: Counter[str] = Counter()
        for endpoint in list(self.endpoints.values()):
            if isinstance(endpoint, Endpoint):
                used.update(endpoint.wanted_instances())
        for kind, count in deployment.fleet.wanted_instances().items():
            quotas.admit(f"{kind} for endpoint usage", used[kind], count, quotas.INSTANCES)

    def resize_endpoint(self, name: str, wanted: list[dict[str, Any]]) -> Endpoint:
        endpoint = self._endpoint(name)
        endpoint.require_stable()
        changes: dict[str, tuple[int | None, float | None]] = {}
        for change in wanted:
            variant = change["VariantName"]
            if variant in changes:
                raise ValidationError(f'The variant name "{variant}" was non-unique within the request.')
            if variant not in endpoint.live_properties():
                raise ValidationError(
                    f'The variant name(s) "{variant}" is/are not present within endpoint configuration '
                    f'"{endpoint.endpoint_config_name}".'
                )
            changes[variant] = (change.get("DesiredInstanceCount"), change.get("DesiredWeight"))
        endpoint.resize(changes)
        return endpoint

    def delete_endpoint(self, endpoint_name: str) -> None:
        endpoint = self._endpoint(endpoint_name)
        left = [one.name for one in self.components.values() if one.endpoint_name == endpoint_name]
        if left:
            raise ValidationError(
                f'Cannot delete endpoint "{endpoint.arn}": it has inference components ({", ".join(left)}). Delete '
                "them first."
            )

        def forget() -> None:
            self.endpoints.pop(endpoint_name, None)

        endpoint.delete(forget)
        scaling = applicationautoscaling_backends[self.account_id][self.region_name]
        for resource in self._scalable_targets():
            if resource.split("/")[1] == endpoint_name:  # AWS deregisters them with the endpoint
                scaling.deregister_scalable_target("sagemaker", resource, SCALED_COUNT)

    def describe_endpoint(self, endpoint_name: str) -> dict[str, Any]:
        response = self._endpoint(endpoint_name).response_object
        config = self.endpoint_configs.get(response["EndpointConfigName"])  # may be deleted by now
        capture = config.data_capture_config if config else None
        if capture:
            response["DataCaptureConfig"] = {
                "EnableCapture": capture["EnableCapture"],
                "CaptureStatus": "Started" if capture["EnableCapture"] else "Stopped",
                "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
                "DestinationS3Uri": capture["DestinationS3Uri"],
                "KmsKeyId": capture.get("KmsKeyId", ""),
            }
        return response

    def _config(self, name: str) -> EndpointConfigRecord:
        config = self.endpoint_configs.get(name)
        if not isinstance(config, EndpointConfigRecord):
            raise ValidationError(
                f'Could not find endpoint configuration "{self._arn("endpoint-config", name)}".'
            )
        return config

    def _deployment(
        self,
        endpoint_name: str,
        config: EndpointConfigRecord,
        keep: dict[str, tuple[int | None, float | None]],
    ) -> Deployment:
        variants = []
        images = {}
        for request in config.production_variants:
            if "ModelName" not in request:  # inference components bring theirs
                continue
            model = self._model(request["ModelName"])
            container = model.all_containers[0]
            kept_count, kept_weight = keep.get(request["VariantName"], (None, None))
            weight = request["InitialVariantWeight"] if kept_weight is None else kept_weight
            actor = model.actor("endpoint", endpoint_name)
            spec = InstanceSpec(
                actor=actor,
                endpoint_name=endpoint_name,
                variant_name=request["VariantName"],
                image=container.get("Image", ""),
                model_data_url=container.get("ModelDataUrl"),
                environment=container.get("Environment") or {},
                startup_timeout=request.get("ContainerStartupHealthCheckTimeoutInSeconds", STARTUP_TIMEOUT),
                isolated=model.isolated,
                instance_type=request.get("InstanceType", ""),
                capture=_capture(config.request.get("DataCaptureConfig"), endpoint_name, request, actor),
            )
            count = request["InitialInstanceCount"] if kept_count is None else kept_count
            variants.append(Variant(spec, count, weight, weight))
            images[spec.variant_name] = [
                {"SpecifiedImage": spec.image, "ResolvedImage": spec.image, "ResolutionTime": utcnow()}
            ]

        def copies(variant: str) -> int:
            placed = [one for one in list(self.components.values()) if one.endpoint_name == endpoint_name]
            return sum(one.copies for one in placed if one.variant_name == variant)

        fleet = Fleet(variants, self.host)
        return Deployment(config.endpoint_config_name, config.request, fleet, images, copies)

    def _scalable_targets(self) -> dict[str, Any]:
        """Registered variants by resource id, `endpoint/<name>/variant/<name>`."""
        targets = applicationautoscaling_backends[self.account_id][self.region_name].targets
        return dict(targets.get(SCALED_COUNT, {}))

    def _protect_scaled_variants(self, endpoint: Endpoint, config: EndpointConfigRecord) -> None:
        """A variant that is scaled automatically may neither go nor change its instance type."""
        if endpoint.current_config is None:
            return
        new_types = {one["VariantName"]: one.get("InstanceType") for one in config.production_variants}
        for variant in endpoint.current_config["ProductionVariants"]:
            name = variant["VariantName"]
            registered = f"endpoint/{endpoint.endpoint_name}/variant/{name}" in self._scalable_targets()
            if registered and new_types.get(name) != variant.get("InstanceType"):
                raise ValidationError(
                    f'The variant(s) "{name}" must be deregistered as scalable targets with AWS Auto Scaling '
                    "before they can be removed or have their instance type updated."
                )

    # Tags

    def tag_lifecycle_config(self, name: str, tags: list[dict[str, str]]) -> None:
        """moto drops the tags of a notebook's lifecycle configuration, and fails where they are asked for."""
        vars(self.notebook_instance_lifecycle_configurations[name])["tags"] = list(tags)

    def _get_resource_from_arn(self, arn: str) -> Any:
        kind, _, name = arn.split(":")[-1].partition("/")
        try:
            if kind == "notebook-instance-lifecycle-config":
                resource: Any = self.notebook_instance_lifecycle_configurations.get(name)
            elif kind == "inference-component":
                resource = self.components.get(name)
            else:
                resource = super()._get_resource_from_arn(arn)
        except (AttributeError, ValueError):  # a kind that moto does not know, or no ARN at all
            resource = None
        if resource is None:
            raise ValidationError(f"Could not find {kind} with ARN {arn}.")
        return resource

    def add_tags(self, arn: str, tags: list[dict[str, str]]) -> list[dict[str, str]]:
        resource = self._get_resource_from_arn(arn)
        new = {tag["Key"] for tag in tags}
        resource.tags = [tag for tag in resource.tags if tag["Key"] not in new] + tags
        return list(resource.tags)


def _capture(
    config: dict[str, Any] | None, endpoint: str, variant: dict[str, Any], actor: Actor
) -> Capture | None:
    if not config:
        return None
    destination = Location.of(config["DestinationS3Uri"], actor.account_id, actor)
    return Capture.of(config, destination.below(endpoint).below(variant["VariantName"]))


def _refuse_what_would_not_run(request: dict[str, Any]) -> None:
    for name in ("AsyncInferenceConfig", "ShadowProductionVariants", "ExplainerConfig"):
        if request.get(name):
            raise NotImplementedError(f"CreateEndpointConfig with {name}")
    for variant in request["ProductionVariants"]:
        if variant.get("ServerlessConfig"):
            raise NotImplementedError("CreateEndpointConfig with a serverless variant")
    if len({"ModelName" in variant for variant in request["ProductionVariants"]}) > 1:
        raise NotImplementedError("CreateEndpointConfig with models and inference components side by side")
