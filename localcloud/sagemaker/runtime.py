"""SageMaker Runtime: InvokeEndpoint."""

from __future__ import annotations

import time
from typing import Any

import urllib3
from moto.core.common_types import TYPE_RESPONSE
from moto.core.exceptions import ServiceException
from moto.sagemaker.models import sagemaker_backends
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

from localcloud.metrics import Metrics
from localcloud.sagemaker.endpoint import Endpoint
from localcloud.sagemaker.fleet import Fleet
from localcloud.sagemaker.instance import Instance

MAX_BODY = 6_291_456  # bytes; SageMaker's limit of a real-time request
_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
_PASSED = ("Content-Type", "Accept", _ATTRIBUTES, "X-Amzn-SageMaker-Inference-Id")
_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency "
    "metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)
_BROKEN_OFF = "The container primary closed the connection without a response."


class InvalidRequest(ServiceException):
    code = "ValidationError"


class Unavailable(ServiceException):
    code = "ServiceUnavailable"


class ModelError(ServiceException):
    """The container answered with an error, or not at all (status 0)."""

    code = "ModelError"

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


class SageMakerRuntime(SageMakerRuntimeResponse):
    use_raw_body = True

    def _get_action(self) -> str:
        # moto's would look into a body that is sent as a form
        return "InvokeEndpointAsync" if self.path.endswith("/async-invocations") else "InvokeEndpoint"

    def invoke_endpoint(self) -> TYPE_RESPONSE:
        began = time.perf_counter()
        name = self.path.split("/")[2]
        stream = self.normalized_request.environ["wsgi.input"]
        stream.seek(0)  # moto has parsed, and thereby used up, a body that looks like a form
        body: bytes = stream.read()
        if len(body) > MAX_BODY:
            raise InvalidRequest(
                "1 validation error detected: Value at 'body' failed to satisfy constraint: Member must have "
                f"length less than or equal to {MAX_BODY}"
            )
        if "X-Amzn-SageMaker-Target-Model" in self.headers:
            raise NotImplementedError("InvokeEndpoint with TargetModel")
        variant = self.headers.get("X-Amzn-SageMaker-Target-Variant")
        return self._invoke(name, variant, body, began)

    def _fleet(self, name: str, variant: str | None) -> Fleet:
        endpoint = sagemaker_backends[self.current_account][self.region].endpoints.get(name)
        fleet = endpoint.fleet() if isinstance(endpoint, Endpoint) else None
        if fleet is None:
            raise InvalidRequest(f"Endpoint {name} of account {self.current_account} not found.")
        if variant is not None and variant not in fleet.variants:
            raise InvalidRequest(f"Variant {variant} not found for endpoint {name}.")
        return fleet

    def _invoke(self, name: str, variant: str | None, body: bytes, began: float) -> TYPE_RESPONSE:
        headers = {key: self.headers[key] for key in _PASSED if key in self.headers}
        headers.setdefault("Content-Type", "application/json")
        tried: set[str] = set()
        fleet, exhausted = self._fleet(name, variant), set[Fleet]()
        while True:
            choice = fleet.acquire(variant, tried)
            if choice is None:
                exhausted.add(fleet)
                fleet = self._fleet(name, variant)  # an update may have replaced it meanwhile
                if fleet in exhausted:
                    break
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
            self._record(name, instance, instances, began, sent, status)
            if status == 0:
                raise ModelError(name, self.current_account, self.region, 0, message)
            if not 200 <= status < 300:
                text = response.data.decode(errors="replace")
                raise ModelError(name, self.current_account, self.region, status, text)
            return 200, self._answer_headers(instance, response), response.data
        raise Unavailable(f"Endpoint {name} of account {self.current_account} has no healthy instance.")

    def _record(
        self, name: str, instance: Instance, instances: int, began: float, sent: float, status: int
    ) -> None:
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
        dimensions = {"EndpointName": name, "VariantName": instance.spec.variant_name}
        Metrics.record(self.current_account, self.region, "AWS/SageMaker", dimensions, values)

    @staticmethod
    def _answer_headers(instance: Instance, response: urllib3.BaseHTTPResponse) -> dict[str, Any]:
        headers = {
            "Content-Type": response.headers.get("Content-Type", "application/octet-stream"),
            "x-Amzn-Invoked-Production-Variant": instance.spec.variant_name,
        }
        if _ATTRIBUTES in response.headers:
            headers[_ATTRIBUTES] = response.headers[_ATTRIBUTES]
        return headers

    def invoke_endpoint_async(self) -> TYPE_RESPONSE:
        raise NotImplementedError("endpoints with asynchronous inference")


def _ask(instance: Instance, body: bytes, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
    try:
        return instance.invoke(body, headers)
    except urllib3.exceptions.ProtocolError:
        if not instance.alive:
            raise
        # The server had closed a connection that was idle: it never saw the request.
        return instance.invoke(body, headers)
