"""moto's Lambda backend, with functions that run and the limits of the real service."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from moto.awslambda.exceptions import UnknownEventConfig
from moto.awslambda.models import EventInvokeConfig, LambdaBackend, LambdaFunction

from localcloud import interfaces
from localcloud.functions.deployed import DeployedFunction
from localcloud.functions.destinations import Destinations
from localcloud.functions.engine import Engine, Event, Target
from localcloud.functions.errors import InvalidParameterValue, NotImplementedHere, ServiceError, TooLarge
from localcloud.functions.function_urls import UrlConfig
from localcloud.functions.provisioned import Provision
from localcloud.functions.sandbox import Call, Outcome
from localcloud.functions.settings import (
    ACCOUNT_CONCURRENCY,
    ASYNC_PAYLOAD_BYTES,
    MIN_UNRESERVED_CONCURRENCY,
    SYNC_PAYLOAD_BYTES,
    TOTAL_CODE_BYTES,
    UNZIPPED_BYTES,
)

_EVENT_SETTINGS = ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")
_MAX_EVENT_AGE = 21_600  # s
_MAX_RETRIES = 2
_TOO_LITTLE_LEFT = (
    "Specified {} for function decreases account's UnreservedConcurrentExecution below its minimum value of "
    f"[{MIN_UNRESERVED_CONCURRENCY}]."
)


class ExecutingLambdaBackend(LambdaBackend):
    """One account in one region. `engine` is set by `localcloud.functions.install`."""

    engine: ClassVar[Engine]

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._urls: dict[tuple[str, str | None], UrlConfig] = {}  # by function name and qualifier
        self._event_configs: dict[tuple[str, str | None], dict[str, Any]] = {}  # the same
        self._published: dict[str, int] = {}  # numbers are not given twice

    def reset(self) -> None:
        for function in self._lambdas.latest():
            self.engine.retire(self._key(function))
        super().reset()

    # -- functions and versions

    def create_function(self, spec: dict[str, Any]) -> DeployedFunction:
        function = DeployedFunction(  # type: ignore[abstract]
            self.account_id, spec, self.region_name, version="$LATEST"
        )
        function.attach([])
        self._lambdas.put_function(function)
        return self.publish_version(function.function_name) if spec.get("Publish") else function

    def update_function_code(
        self, function_name: str, qualifier: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        function = self.get_function(function_name, qualifier)
        function.update_function_code(body)
        if body.get("Publish") and not body.get("DryRun"):
            function = self.publish_version(function_name)
        configuration: dict[str, Any] = function.get_configuration()
        return configuration

    def get_function(self, function_name_or_arn: str, qualifier: str | None = None) -> DeployedFunction:
        return cast(DeployedFunction, super().get_function(function_name_or_arn, qualifier))

    def publish_version(self, function_name: str, description: str = "") -> DeployedFunction:
        latest = self.get_function(function_name)
        name = latest.function_name
        known = set(map(id, self._lambdas.list_versions_by_function(name)))
        published = cast(DeployedFunction, super().publish_version(function_name, description))
        if id(published) not in known:
            number = self._published[name] = self._published.get(name, 0) + 1
            if str(published.version) != str(number):  # moto counts the versions that are left
                published.set_version(number)
                self._lambdas._arns[published.function_arn] = published
        return published

    def delete_function(self, function_name: str, qualifier: str | None = None) -> None:
        function = self.get_function(function_name, qualifier)
        name, version = function.function_name, str(function.version)
        if version != "$LATEST":
            users = [alias.name for alias in self.list_aliases(name) if alias.function_version == version]
            if users:
                raise ServiceError(
                    409,
                    "ResourceConflictException",
                    f"Version {version} is currently referenced by alias {', '.join(users)}.",
                )
        elif qualifier is not None:
            raise InvalidParameterValue("$LATEST version cannot be deleted without deleting the function.")
        super().delete_function(function_name, qualifier)
        if version == "$LATEST":
            interfaces.detach(function.deployment().actor, function.interfaces)
        self.engine.retire(self._key(function), None if version == "$LATEST" else version)
        if version == "$LATEST":
            self._published.pop(name, None)
            self._urls = {key: url for key, url in self._urls.items() if key[0] != name}
            self._event_configs = {key: each for key, each in self._event_configs.items() if key[0] != name}
        else:
            self._event_configs.pop((name, version), None)

    # -- invocation

    def resolve(self, function_name: str, qualifier: str | None) -> Target:
        """Name, partial or full ARN, each with or without a qualifier, to the version that is to run."""
        function = self.get_function(function_name, qualifier)
        qualifier = self._qualifier(function_name, function) or qualifier
        alias = self._aliases(function.function_name).get(qualifier or "")
        if alias is not None:
            weights = (alias.routing_config or {}).get("AdditionalVersionWeights") or {}
            roll = random.random()  # noqa: S311 - which version a request goes to is no secret
            for version, weight in weights.items():
                roll -= weight
                if roll < 0:
                    function = self.get_function(function.function_name, version)
                    break
        return Target(function.deployment(), qualifier)

    def run(
        self, function_name: str, qualifier: str | None, payload: bytes, client_context: str = ""
    ) -> Outcome:
        """Invoke and wait."""
        target = self.resolve(function_name, qualifier)
        _check_size(payload, "RequestResponse", SYNC_PAYLOAD_BYTES)
        _check_runnable(target, payload)
        return self.engine.invoke(target, _call(target, payload, client_context, str(uuid.uuid4())))

    def enqueue(
        self, function_name: str, qualifier: str | None, payload: bytes, client_context: str = ""
    ) -> None:
        """Invoke without waiting; errors of the function are tried again."""
        target = self.resolve(function_name, qualifier)
        _check_size(payload, "Event", ASYNC_PAYLOAD_BYTES)
        _check_runnable(target, payload)
        request_id = str(uuid.uuid4())  # stays the same over all tries
        settings = self._event_configs.get((target.deployment.name, target.qualifier), {})
        destinations = Destinations.of(settings.get("DestinationConfig"))
        self.engine.enqueue(
            Event(
                target.deployment.function,
                lambda: self.resolve(function_name, qualifier),
                lambda now: _call(now, payload, client_context, request_id),
                settings.get("MaximumRetryAttempts", _MAX_RETRIES),
                settings.get("MaximumEventAgeInSeconds", _MAX_EVENT_AGE),
                lambda now, outcome, tries: destinations.tell(now.deployment, outcome, tries, payload),
            )
        )

    def check(self, function_name: str, qualifier: str | None, payload: bytes) -> None:
        """InvocationType=DryRun."""
        _check_size(payload, "DryRun", SYNC_PAYLOAD_BYTES)
        _check_runnable(self.resolve(function_name, qualifier), payload)

    def invoke(
        self, function_name: str, qualifier: str | None, body: Any, headers: Any, response_headers: Any
    ) -> bytes:
        """For moto's event source mappings; the API comes in through `run` and `enqueue`."""
        del headers
        outcome = self.run(
            function_name, qualifier, body if isinstance(body, bytes) else str(body or "").encode()
        )
        if outcome.failed:
            response_headers["x-amz-function-error"] = "Unhandled"
        return outcome.payload

    # -- concurrency

    def account_settings(self) -> dict[str, Any]:
        functions = list(self._lambdas.latest())
        versions = [
            version
            for function in functions
            for version in self.list_versions_by_function(function.function_name)
        ]
        return {
            "AccountLimit": {
                "TotalCodeSize": TOTAL_CODE_BYTES,
                "CodeSizeUnzipped": UNZIPPED_BYTES,
                "CodeSizeZipped": 52_428_800,
                "ConcurrentExecutions": ACCOUNT_CONCURRENCY,
                "UnreservedConcurrentExecutions": self.engine.unreserved(self.account_id, self.region_name),
            },
            "AccountUsage": {
                "TotalCodeSize": sum(version.code_size for version in versions),
                "FunctionCount": len(functions),
            },
        }

    def put_function_concurrency(self, function_name: str, reserved_concurrency: str) -> str:
        function = self.get_function(function_name)
        key, wanted = self._key(function), int(reserved_concurrency)
        provisioned = sum(each.requested for each in self.engine.provisions(key).values())
        if wanted < provisioned:
            raise InvalidParameterValue(
                "ReservedConcurrentExecutions for function should not be lower than function's total provisioned "
                f"concurrency [{provisioned}]."
            )
        freed = provisioned if function.reserved_concurrency is None else int(function.reserved_concurrency)
        left = self.engine.unreserved(self.account_id, self.region_name) + freed - wanted
        if left < MIN_UNRESERVED_CONCURRENCY:
            raise InvalidParameterValue(_TOO_LITTLE_LEFT.format("ReservedConcurrentExecutions"))
        function.reserved_concurrency = wanted
        self.engine.reserve(key, wanted)
        return reserved_concurrency

    def delete_function_concurrency(self, function_name: str) -> None:
        function = self.get_function(function_name)
        function.reserved_concurrency = None
        self.engine.reserve(self._key(function), None)

    def put_provisioned_concurrency(self, function_name: str, qualifier: str, requested: int) -> Provision:
        function = self.get_function(function_name, qualifier)
        key = self._key(function)
        if str(function.version) == "$LATEST":
            raise InvalidParameterValue(
                "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
            )
        if requested < 1:
            raise InvalidParameterValue("ProvisionedConcurrentExecutions must be greater than or equal to 1.")
        provisions = self.engine.provisions(key)
        for other, provision in provisions.items():
            if other != qualifier and provision.pool.deployment.version == str(function.version):
                raise InvalidParameterValue(
                    "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
                )
        mine = provisions[qualifier].requested if qualifier in provisions else 0
        latest = self.get_function(function.function_name)
        if latest.reserved_concurrency is not None:
            if (
                sum(each.requested for each in provisions.values()) - mine + requested
                > latest.reserved_concurrency
            ):
                raise InvalidParameterValue(
                    "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution "
                    "for function"
                )
        elif (
            self.engine.unreserved(self.account_id, self.region_name) + mine - requested
            < MIN_UNRESERVED_CONCURRENCY
        ):
            raise InvalidParameterValue(_TOO_LITTLE_LEFT.format("ConcurrentExecutions"))
        deployment = function.deployment()
        if deployment.refusal:
            raise NotImplementedHere(deployment.refusal)
        return self.engine.provision(qualifier, deployment, requested)

    def get_provisioned_concurrency(self, function_name: str, qualifier: str) -> Provision:
        provision = self.list_provisioned_concurrency(function_name).get(qualifier)
        if provision is None:
            raise ServiceError(
                404,
                "ProvisionedConcurrencyConfigNotFoundException",
                "No Provisioned Concurrency Config found for this function",
            )
        return provision

    def list_provisioned_concurrency(self, function_name: str) -> dict[str, Provision]:
        return self.engine.provisions(self._key(self.get_function(function_name)))

    def delete_provisioned_concurrency(self, function_name: str, qualifier: str) -> None:
        self.engine.unprovision(self._key(self.get_function(function_name)), qualifier)

    # -- aliases

    def create_alias(
        self, name: str, function_name: str, function_version: str, *rest: Any, **more: Any
    ) -> Any:
        self._check_routing(function_name, function_version, more.get("routing_config"))
        return super().create_alias(name, function_name, function_version, *rest, **more)

    def update_alias(
        self,
        name: str,
        function_name: str,
        function_version: str | None,
        description: Any,
        routing_config: Any,
    ) -> Any:
        alias = self.get_alias(name, function_name)
        version = function_version or alias.function_version
        self._check_routing(function_name, version, routing_config)
        super().update_alias(name, function_name, version, description, routing_config)
        alias.revision_id = str(uuid.uuid4())
        key = self._key(self.get_function(function_name))
        provision = self.engine.provisions(key).get(name)
        if provision is not None:
            deployment = self.get_function(function_name, version).deployment()
            if not provision.serves(deployment):
                self.engine.provision(name, deployment, provision.requested)
        return alias

    def delete_alias(self, name: str, function_name: str) -> None:
        """With it goes what was configured for it, as on AWS."""
        function = self.get_function(function_name)
        self.engine.unprovision(self._key(function), name)
        super().delete_alias(name, function_name)
        self._urls.pop((function.function_name, name), None)
        self._event_configs.pop((function.function_name, name), None)

    def _check_routing(self, function_name: str, version: str, routing: Mapping[str, Any] | None) -> None:
        weights = (routing or {}).get("AdditionalVersionWeights") or {}
        if not weights:
            return
        if version == "$LATEST" or "$LATEST" in weights:
            raise InvalidParameterValue(
                "$LATEST is not supported for an alias pointing to more than 1 version"
            )
        if len(weights) > 1:
            raise InvalidParameterValue(
                "Number of items in AdditionalVersionWeights cannot be greater than 1"
            )
        for other, weight in weights.items():
            if not 0 <= weight <= 1:
                raise InvalidParameterValue(
                    f"Invalid weight {weight} for version {other}: it must be between 0 and 1"
                )
            self.get_function(function_name, other)

    # -- asynchronous configuration

    def put_event_config(
        self, function_name: str, qualifier: str | None, config: dict[str, Any], *, merge: bool = False
    ) -> dict[str, Any]:
        """How asynchronous invocations of that qualifier are tried again."""
        Destinations.of(config.get("DestinationConfig")).check(
            self.get_function(function_name, qualifier).deployment()
        )
        key = self.get_function(function_name, qualifier).function_name, qualifier
        arn = self._arn(key[0], qualifier or "$LATEST")
        before = self.get_event_config(function_name, qualifier) if merge else {}
        wanted = {name: config[name] for name in _EVENT_SETTINGS if config.get(name) is not None}
        EventInvokeConfig(arn, "", wanted)  # for its validation
        self._event_configs[key] = {**before, "FunctionArn": arn, "LastModified": time.time(), **wanted}
        return self._event_configs[key]

    def get_event_config(self, function_name: str, qualifier: str | None) -> dict[str, Any]:
        key = self.get_function(function_name, qualifier).function_name, qualifier
        if key not in self._event_configs:
            raise UnknownEventConfig(self._arn(key[0], qualifier or "$LATEST"))
        return self._event_configs[key]

    def delete_event_config(self, function_name: str, qualifier: str | None) -> None:
        self.get_event_config(function_name, qualifier)
        del self._event_configs[self.get_function(function_name).function_name, qualifier]

    def list_event_configs(self, function_name: str) -> list[dict[str, Any]]:
        name = self.get_function(function_name).function_name
        return [config for key, config in self._event_configs.items() if key[0] == name]

    # -- URLs

    def add_permission(self, function_name: str, qualifier: str, raw: str) -> dict[str, Any]:
        """Moto leaves what limits a statement to a URL outside its conditions, where it limits nothing."""
        statement = super().add_permission(function_name, qualifier, raw)
        auth, via_url = (
            statement.pop(name, None) for name in ("FunctionUrlAuthType", "InvokedViaFunctionUrl")
        )
        limits = {}
        if auth is not None:
            limits["StringEquals"] = {"lambda:FunctionUrlAuthType": auth}
        if via_url is not None:
            limits["Bool"] = {"lambda:InvokedViaFunctionUrl": str(via_url).lower()}
        for operator, keys in limits.items():
            statement.setdefault("Condition", {}).setdefault(operator, {}).update(keys)
        return statement

    def create_url(self, function_name: str, qualifier: str | None, config: dict[str, Any]) -> UrlConfig:
        function = self.get_function(function_name, qualifier)
        key = function.function_name, qualifier
        if key in self._urls:
            raise ServiceError(
                409,
                "ResourceConflictException",
                f"Failed to create function url config for [functionArn = {self._arn(*key)}]. Error message:  "
                "FunctionUrlConfig exists for this Lambda function",
            )
        url = self._urls[key] = UrlConfig(self._arn(*key), qualifier, self.engine.endpoint_url, config)
        return url

    def get_url(self, function_name: str, qualifier: str | None) -> UrlConfig:
        function = self.get_function(function_name, qualifier)
        url = self._urls.get((function.function_name, qualifier))
        if url is None:
            raise ServiceError(404, "ResourceNotFoundException", "The resource you requested does not exist.")
        return url

    def delete_url(self, function_name: str, qualifier: str | None) -> None:
        self.get_url(function_name, qualifier)
        del self._urls[self.get_function(function_name, qualifier).function_name, qualifier]

    def list_urls(self, function_name: str) -> list[UrlConfig]:
        name = self.get_function(function_name).function_name
        return [url for key, url in self._urls.items() if key[0] == name]

    def find_url(self, url_id: str) -> tuple[str, UrlConfig] | None:
        """The function's name, and the URL with that id."""
        return next(((key[0], url) for key, url in list(self._urls.items()) if url.id == url_id), None)

    def _arn(self, name: str, qualifier: str | None) -> str:
        arn = self.get_function(name).function_arn
        return f"{arn}:{qualifier}" if qualifier else arn

    # -- names

    def _key(self, function: LambdaFunction) -> tuple[str, str, str]:
        return self.account_id, self.region_name, function.function_name

    def _aliases(self, name: str) -> dict[str, Any]:
        return {alias.name: alias for alias in self.list_aliases(name)}

    @staticmethod
    def _qualifier(function_name: str, function: LambdaFunction) -> str | None:
        """The one that is part of the name or ARN."""
        _, _, rest = function_name.rpartition(function.function_name)
        return rest.removeprefix(":") or None


def _call(target: Target, payload: bytes, client_context: str, request_id: str) -> Call:
    return Call(request_id, payload or b"{}", target.arn, client_context)


def _check_size(payload: bytes, kind: str, limit: int) -> None:
    if len(payload) > limit:
        raise TooLarge(len(payload), kind, limit)


def _check_runnable(target: Target, payload: bytes) -> None:
    if target.deployment.refusal:
        raise NotImplementedHere(target.deployment.refusal)
    if payload:
        try:
            json.loads(payload)
        except ValueError as error:
            raise ServiceError(
                400, "InvalidRequestContentException", f"Could not parse request body into json: {error}"
            ) from error
