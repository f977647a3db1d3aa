"""moto's HTTP answers for Lambda, where they are to be different."""

from __future__ import annotations

import base64
import json
from typing import Any, cast
from urllib.parse import unquote

from moto.awslambda.responses import LambdaResponse
from moto.core.common_types import TYPE_RESPONSE

from localcloud.functions.backend import ExecutingLambdaBackend
from localcloud.functions.errors import InvalidParameterValue
from localcloud.functions.provisioned import Provision

_FUNCTION = r"{0}/(?P<api_version>[^/]+)/functions/(?P<function_name>[\w_:%-]+)"
MORE_PATHS = (
    _FUNCTION + r"/provisioned-concurrency/?$",
    _FUNCTION + r"/urls/?$",
    r"{0}/(?P<api_version>[^/]+)/account-settings/?$",
)


class ExecutingLambdaResponse(LambdaResponse):
    use_raw_body = True  # payloads are bytes, and large

    @property
    def backend(self) -> ExecutingLambdaBackend:
        return cast(ExecutingLambdaBackend, super().backend)

    # -- invocation

    def invoke(self) -> TYPE_RESPONSE:
        name, qualifier = self._name(-2), self._qualifier()
        payload: bytes = self.raw_body or b""
        kind = self.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        context = _client_context(self.headers.get("X-Amz-Client-Context"))
        if kind == "DryRun":
            self.backend.check(name, qualifier, payload)
            return 204, {"status": 204}, ""
        if kind == "Event":
            self.backend.enqueue(name, qualifier, payload, context)
            return 202, {"status": 202}, ""
        if kind != "RequestResponse":
            raise InvalidParameterValue(
                f"InvocationType must be RequestResponse, Event or DryRun, not {kind}."
            )
        outcome = self.backend.run(name, qualifier, payload, context)
        headers = {
            "content-type": "application/json",
            "X-Amz-Executed-Version": outcome.version,
            "x-amzn-requestid": outcome.request_id,
        }
        if outcome.failed:
            headers["X-Amz-Function-Error"] = "Unhandled"
        if self.headers.get("X-Amz-Log-Type") == "Tail":
            headers["X-Amz-Log-Result"] = base64.b64encode(outcome.log_tail).decode()
        return 200, headers, outcome.payload

    def invoke_async(self) -> TYPE_RESPONSE:
        self.backend.enqueue(self._name(-2), None, self.raw_body or b"")
        return 202, {"status": 202}, json.dumps({"Status": 202})

    # -- concurrency

    def get_account_settings(self) -> str:
        return json.dumps(self.backend.account_settings())

    def get_function_concurrency(self) -> TYPE_RESPONSE:
        reserved = self.backend.get_function(self._name(-2)).reserved_concurrency
        return 200, {}, json.dumps({} if reserved is None else {"ReservedConcurrentExecutions": reserved})

    def put_provisioned_concurrency_config(self) -> TYPE_RESPONSE:
        requested = self.json_body.get("ProvisionedConcurrentExecutions")
        if not isinstance(requested, int):
            raise InvalidParameterValue("ProvisionedConcurrentExecutions must be a number.")
        provision = self.backend.put_provisioned_concurrency(
            self._name(-2), self._required_qualifier(), requested
        )
        return 202, {"status": 202}, json.dumps(_describe(provision))

    def get_provisioned_concurrency_config(self) -> str:
        return json.dumps(
            _describe(self.backend.get_provisioned_concurrency(self._name(-2), self._required_qualifier()))
        )

    def list_provisioned_concurrency_configs(self) -> str:
        name = self._name(-2)
        arn = self.backend.get_function(name).function_arn
        configs = [
            {"FunctionArn": f"{arn}:{qualifier}", **_describe(provision)}
            for qualifier, provision in self.backend.list_provisioned_concurrency(name).items()
        ]
        return json.dumps({"ProvisionedConcurrencyConfigs": configs})

    def delete_provisioned_concurrency_config(self) -> TYPE_RESPONSE:
        self.backend.delete_provisioned_concurrency(self._name(-2), self._required_qualifier())
        return 204, {"status": 204}, ""

    # -- asynchronous invocation

    def put_function_event_invoke_config(self) -> str:  # type: ignore[override]
        return json.dumps(self.backend.put_event_config(self._name(-2), self._qualifier(), self.json_body))

    def update_function_event_invoke_config(self) -> str:
        config = self.backend.put_event_config(self._name(-2), self._qualifier(), self.json_body, merge=True)
        return json.dumps(config)

    def get_function_event_invoke_config(self) -> str:  # type: ignore[override]
        return json.dumps(self.backend.get_event_config(self._name(-2), self._qualifier()))

    def list_function_event_invoke_configs(self) -> str:
        return json.dumps({"FunctionEventInvokeConfigs": self.backend.list_event_configs(self._name(-3))})

    def delete_function_event_invoke_config(self) -> TYPE_RESPONSE:
        self.backend.delete_event_config(self._name(-2), self._qualifier())
        return 204, {"status": 204}, ""

    # -- function URLs

    def create_function_url_config(self) -> TYPE_RESPONSE:
        url = self.backend.create_url(self._name(-2), self._qualifier(), self.json_body)
        return 201, {"status": 201}, json.dumps(url.describe())

    def get_function_url_config(self) -> TYPE_RESPONSE:
        return 200, {}, json.dumps(self.backend.get_url(self._name(-2), self._qualifier()).describe())

    def update_function_url_config(self) -> str:
        url = self.backend.get_url(self._name(-2), self._qualifier())
        url.update(self.json_body)
        return json.dumps(url.describe())

    def delete_function_url_config(self) -> TYPE_RESPONSE:
        self.backend.delete_url(self._name(-2), self._qualifier())
        return 204, {"status": 204}, ""

    def list_function_url_configs(self) -> str:
        urls = self.backend.list_urls(self._name(-2))
        return json.dumps({"FunctionUrlConfigs": [url.describe() for url in urls]})

    @staticmethod
    def _enrich_response(headers: dict[str, str], body: Any) -> tuple[dict[str, str], Any]:
        """moto makes up a request id; an invocation has the one that is in the function's log."""
        ours = headers.get("x-amzn-requestid")
        headers, body = LambdaResponse._enrich_response(headers, body)
        return {**headers, "x-amzn-requestid": ours or headers["x-amzn-requestid"]}, body

    # -- parameters

    def _name(self, position: int) -> str:
        """The part of the path that names the function; it may be an ARN."""
        return unquote(self.path.rstrip("/").split("/")[position])

    def _qualifier(self) -> str | None:
        values = self.querystring.get("Qualifier")
        return values[0] if values else None

    def _required_qualifier(self) -> str:
        qualifier = self._qualifier()
        if not qualifier:
            raise InvalidParameterValue("Qualifier must name a version or an alias.")
        return qualifier


def _describe(provision: Provision) -> dict[str, Any]:
    answer = {
        "RequestedProvisionedConcurrentExecutions": provision.requested,
        "AvailableProvisionedConcurrentExecutions": provision.available,
        "AllocatedProvisionedConcurrentExecutions": provision.available,
        "Status": provision.status,
        "LastModified": provision.modified.strftime("%Y-%m-%dT%H:%M:%S+0000"),
    }
    if provision.reason is not None:
        answer["StatusReason"] = provision.reason
    return answer


def _client_context(encoded: str | None) -> str:
    """The JSON of the ClientContext header in ASCII, for a header of the Runtime API."""
    if not encoded:
        return ""
    try:
        return json.dumps(json.loads(base64.b64decode(encoded, validate=True)))
    except ValueError as error:
        raise InvalidParameterValue("ClientContext must be base64 of JSON.") from error
