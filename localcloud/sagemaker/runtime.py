"""SageMaker Runtime: InvokeEndpoint.

Invocations are answered before moto's dispatcher, Flask and werkzeug's request see them, which takes 3 ms of CPU each.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, cast
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import urllib3
from moto.core.common_types import TYPE_RESPONSE
from moto.core.exceptions import ServiceException
from moto.iam.models import get_account_id_from, mark_account_as_visited
from moto.sagemaker.models import sagemaker_backends
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

from localcloud.metrics import Metrics
from localcloud.sagemaker.components.backend import ComponentBackend
from localcloud.sagemaker.endpoint import Endpoint
from localcloud.sagemaker.fleet import Fleet
from localcloud.sagemaker.instance import Instance

MAX_BODY = 6_291_456  # bytes; SageMaker's limit of a real-time request
_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
_PASSED = {  # to the container, by WSGI's names
    "CONTENT_TYPE": "Content-Type",
    "HTTP_ACCEPT": "Accept",
    "HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES": _ATTRIBUTES,
    "HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID": "X-Amzn-SageMaker-Inference-Id",
}
_PATH = re.compile(r"/endpoints/(?P<name>[^/]+)/invocations")
_CREDENTIAL = re.compile(
    r"AWS4\S* +Credential=(?P<key>[^/,]+)/[^/]*/(?P<region>[^/]*)/sagemaker/aws4_request"
)
_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency "
    "metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)
_NO_CAPACITY = (
    "Inference Component has no capacity to process this request. ApplicationAutoScaling may be in-progress (if "
    "configured) or try to increase the capacity by invoking UpdateInferenceComponentRuntimeConfig API."
)
_NO_COMPONENT_NAMED = (
    "Inference Component Name header is required for endpoints to which you plan to deploy inference components. "
    "Please include Inference Component Name header or consider using SageMaker models."
)
_DEATH = 0.1  # s
_BROKEN_OFF = "The container primary closed the connection without a response."


class InvalidRequest(ServiceException):
    code = "ValidationError"
    status = 400


class Unavailable(ServiceException):
    code = "ServiceUnavailable"
    status = 503


class ModelError(ServiceException):
    """The container answered with an error, or not at all (status 0)."""

    code = "ModelError"
    status = 424

    def __init__(self, endpoint: str, account_id: str, region: str, status: int, message: str) -> None:
        kind = "client" if 400 <= status < 500 else "server"
        group = f"/aws/sagemaker/Endpoints/{endpoint}"
        super().__init__(
            f'Received {kind} error ({status}) from primary with message "{message}". See '
            f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:"
            f"group={group} in account {account_id} for more information."
        )
        self.original_status_code = status
        self.original_message = message
        self.log_stream_arn = f"arn:aws:logs:{region}:{account_id}:log-group:{group}"


def with_invocations(app: WSGIApplication) -> WSGIApplication:
    """`app`, with InvokeEndpoint answered before it sees the request."""

    def routed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = _PATH.fullmatch(environ.get("PATH_INFO", ""))
        signed = path and _CREDENTIAL.match(environ.get("HTTP_AUTHORIZATION", ""))
        if not path or not signed or environ["REQUEST_METHOD"] != "POST":
            return app(environ, start_response)
        began = time.perf_counter()
        key, region = signed["key"], signed["region"]
        account = environ.get("HTTP_X_MOTO_ACCOUNT_ID") or get_account_id_from(key)
        mark_account_as_visited(account, key, "sagemaker-runtime", region)
        try:
            headers, body = Invocation(account, region, path["name"]).run(environ, began)
            status = HTTPStatus.OK
        except (InvalidRequest, Unavailable, ModelError) as error:
            status = HTTPStatus(error.status)
            headers = {"Content-Type": "application/json", "X-Amzn-ErrorType": error.code}
            body = json.dumps({"__type": error.code, **_details(error)}).encode()
        headers |= {"x-amzn-RequestId": secrets.token_hex(16), "Content-Length": str(len(body))}
        start_response(f"{status.value} {status.phrase}", list(headers.items()))
        return [body]

    return routed


def _details(error: ServiceException) -> dict[str, Any]:
    if not isinstance(error, ModelError):
        return {"Message": error.message}
    return {
        "Message": error.message,
        "OriginalStatusCode": error.original_status_code,
        "OriginalMessage": error.original_message,
        "LogStreamArn": error.log_stream_arn,
    }


@dataclass(frozen=True)
class Invocation:
    account_id: str
    region: str
    endpoint: str
    component: str | None = None  # the inference component that is asked

    def run(self, environ: WSGIEnvironment, began: float) -> tuple[dict[str, str], bytes]:
        """The answer's headers and body."""
        body: bytes = environ["wsgi.input"].read()
        if len(body) > MAX_BODY:
            raise InvalidRequest(
                "1 validation error detected: Value at 'body' failed to satisfy constraint: Member must have "
                f"length less than or equal to {MAX_BODY}"
            )
        if "HTTP_X_AMZN_SAGEMAKER_TARGET_MODEL" in environ:
            raise NotImplementedError("InvokeEndpoint with TargetModel")
        headers = {name: environ[key] for key, name in _PASSED.items() if environ.get(key)}
        headers.setdefault("Content-Type", "application/json")
        variant = environ.get("HTTP_X_AMZN_SAGEMAKER_TARGET_VARIANT")
        component = environ.get("HTTP_X_AMZN_SAGEMAKER_INFERENCE_COMPONENT")
        if component:
            return replace(self, component=component).ask(variant, body, headers, began)
        return self.ask(variant, body, headers, began)

    def ask(
        self, variant: str | None, body: bytes, headers: dict[str, str], began: float
    ) -> tuple[dict[str, str], bytes]:
        tried: set[str] = set()
        exhausted: set[Fleet] = set()
        # Looked up each time: an update may have replaced a fleet meanwhile.
        while fleet := next((one for one in self._fleets(variant) if one not in exhausted), None):
            choice = fleet.acquire(variant, tried)
            if choice is None:
                exhausted.add(fleet)
                continue
            instance, instances = choice
            tried.add(instance.id)
            sent = time.perf_counter()
            status = 0
            try:
                response = _ask(instance, body, headers)
                status = response.status
            except urllib3.exceptions.NewConnectionError:
                continue  # nothing was sent: another instance may have the request
            except urllib3.exceptions.TimeoutError:
                message = _TIMED_OUT
            except urllib3.exceptions.HTTPError:
                message = _BROKEN_OFF  # it may be this request that killed it: no other instance gets it
            finally:
                fleet.release(instance)
            self._record(instance, instances, began, sent, status)
            if status == 0:
                raise ModelError(self.endpoint, self.account_id, self.region, 0, message)
            if not 200 <= status < 300:
                text = response.data.decode(errors="replace")
                raise ModelError(self.endpoint, self.account_id, self.region, status, text)
            kind = response.headers.get("Content-Type", "application/octet-stream")
            if instance.spec.capture is not None:
                instance.spec.capture.record((headers["Content-Type"], body), (kind, response.data))
            return self._answer_headers(instance, response), response.data
        raise Unavailable(f"Endpoint {self.endpoint} of account {self.account_id} has no healthy instance.")

    def _fleets(self, variant: str | None) -> list[Fleet]:
        """Those that may have the request, the one that it is for first."""
        endpoint = sagemaker_backends[self.account_id][self.region].endpoints.get(self.endpoint)
        fleets = endpoint.fleets_in_service() if isinstance(endpoint, Endpoint) else []
        if not fleets:
            raise InvalidRequest(f"Endpoint {self.endpoint} of account {self.account_id} not found.")
        if self.component is not None:
            return [self._component_fleet(self.component)]
        if not any(fleet.variants for fleet in fleets):
            raise InvalidRequest(_NO_COMPONENT_NAMED)
        fitting = [fleet for fleet in fleets if variant is None or variant in fleet.variants]
        if not fitting:
            raise InvalidRequest(f"Variant {variant} not found for endpoint {self.endpoint}.")
        return fitting

    def _component_fleet(self, name: str) -> Fleet:
        """Raises InvalidRequest, and counts, where there is no copy: that is what brings the first one."""
        backend = cast(ComponentBackend, sagemaker_backends[self.account_id][self.region])
        component = backend.components.get(name)
        if component is None or component.endpoint_name != self.endpoint:
            raise InvalidRequest(f"Inference Component {name} of endpoint {self.endpoint} not found.")
        if component.copies == 0:
            values = {"NoCapacityInvocationFailures": (1.0, "None")}
            dimensions = {"InferenceComponentName": name}
            Metrics.record(self.account_id, self.region, "AWS/SageMaker", dimensions, values)
            raise InvalidRequest(_NO_CAPACITY)
        return component.fleet

    def _record(self, instance: Instance, instances: int, began: float, sent: float, status: int) -> None:
        """One invocation that reached a container; `status` is what it answered, 0 for nothing."""
        now = time.perf_counter()
        values = {
            "Invocations": (1.0, "None"),
            "InvocationsPerInstance": (1.0 / max(instances, 1), "None"),
            "ModelLatency": ((now - sent) * 1e6, "Microseconds"),
            "OverheadLatency": ((sent - began) * 1e6, "Microseconds"),
            "Invocation4XXErrors": (float(400 <= status < 500), "None"),
            "Invocation5XXErrors": (float(status == 0 or status >= 500), "None"),
            "InvocationModelErrors": (float(not 200 <= status < 300), "None"),
        }
        dimensions = {"EndpointName": self.endpoint, "VariantName": instance.spec.variant_name}
        Metrics.record(self.account_id, self.region, "AWS/SageMaker", dimensions, values)
        if self.component is not None:
            values["InvocationsPerCopy"] = values.pop("InvocationsPerInstance")
            dimensions = instance.spec.dimensions
            Metrics.record(self.account_id, self.region, "AWS/SageMaker", dimensions, values)

    @staticmethod
    def _answer_headers(instance: Instance, response: urllib3.BaseHTTPResponse) -> dict[str, str]:
        headers = {
            "Content-Type": response.headers.get("Content-Type", "application/octet-stream"),
            "x-Amzn-Invoked-Production-Variant": instance.spec.variant_name,
        }
        if _ATTRIBUTES in response.headers:
            headers[_ATTRIBUTES] = response.headers[_ATTRIBUTES]
        return headers


class SageMakerRuntime(SageMakerRuntimeResponse):
    """What is not an invocation as AWS takes it; moto's own answers would be made up."""

    def _get_action(self) -> str:
        # moto's would look into a body that is sent as a form
        return "InvokeEndpointAsync" if self.path.endswith("/async-invocations") else "InvokeEndpoint"

    def invoke_endpoint(self) -> TYPE_RESPONSE:
        raise NotImplementedError("InvokeEndpoint is a POST request signed for sagemaker")

    def invoke_endpoint_async(self) -> TYPE_RESPONSE:
        raise NotImplementedError("endpoints with asynchronous inference")


def _ask(instance: Instance, body: bytes, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
    try:
        return instance.invoke(body, headers)
    except urllib3.exceptions.ProtocolError as error:
        # A server that dies closes its connections a little before it counts as dead.
        if not instance.survives(_DEATH):
            raise
        # The server had closed a connection that was idle: it never saw the request.
        try:
            return instance.invoke(body, headers)
        except urllib3.exceptions.NewConnectionError:
            raise error from None  # it was dying after all, and may have seen the request: no other gets it
