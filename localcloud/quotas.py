"""Service Quotas: the limits of the account by AWS's names and codes. SageMaker refuses what is beyond them.

Those are known whose codes are. The values are this cloud's, not the ones of a new account, which are mostly 0;
POST /_localcloud/quotas {"ml.m5.large for endpoint usage": 2} sets them, DELETE takes them back.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from moto.sagemaker.exceptions import SagemakerClientError
from moto.servicequotas import urls
from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.responses import ServiceQuotasResponse

from localcloud import gaps
from localcloud.config import Config

PATH = "/_localcloud/quotas"
INSTANCES = 100.0  # of each type, behind endpoints
JOBS = 20.0  # instances of each type in jobs; localcloud.sagemaker.jobs.settings may say otherwise
_ROOT = re.compile(r"AWS4\S* +Credential=local(-\d{12})?/")
_PAGE = 100

_SERVICES = {
    "sagemaker": "Amazon SageMaker",
    "lambda": "AWS Lambda",
    "vpc": "Amazon Virtual Private Cloud (Amazon VPC)",
    "ec2": "Amazon Elastic Compute Cloud (Amazon EC2)",
}
_ENDPOINT = {
    "ml.t2.medium": "L-29C181D7", "ml.t2.large": "L-1410387A", "ml.t2.2xlarge": "L-20700136",
    "ml.m5.large": "L-614B09FD", "ml.m5.4xlarge": "L-E2649D46", "ml.m7i.large": "L-3E715088",
    "ml.m7i.xlarge": "L-E793924B", "ml.m7i.2xlarge": "L-6C9165E8", "ml.c5.large": "L-4D27DFDD",
    "ml.c5.xlarge": "L-E9EE5599", "ml.c6i.large": "L-3C2EBC55", "ml.c6i.xlarge": "L-28FF72CA",
    "ml.c6i.2xlarge": "L-4FDB33AC", "ml.c6i.4xlarge": "L-B5612E02", "ml.c7i.4xlarge": "L-8C4E467D",
    "ml.g4dn.xlarge": "L-B67CFA0C", "ml.g4dn.2xlarge": "L-EA346344", "ml.g5.2xlarge": "L-9614C779",
    "ml.g5.4xlarge": "L-C1B9A48D", "ml.p3.2xlarge": "L-1623D0BE", "ml.m6g.xlarge": "L-2D2AAC6C",
}  # fmt: skip
_TRAINING = {
    "ml.m5.large": "L-611FA074", "ml.m5.xlarge": "L-CCE2AFA6", "ml.m5.2xlarge": "L-AD0A282D",
    "ml.c5.xlarge": "L-E2BB44FE", "ml.c5.4xlarge": "L-E7898792", "ml.c6i.xlarge": "L-D526E050",
    "ml.c6i.2xlarge": "L-536D2DD2", "ml.m6i.large": "L-514B50A3", "ml.m6i.2xlarge": "L-AE3447AD",
    "ml.g4dn.xlarge": "L-3F53BF0F", "ml.g4dn.2xlarge": "L-C2495BC4", "ml.g5.xlarge": "L-B6D80D9C",
    "ml.g5.4xlarge": "L-FE869B40", "ml.p3.2xlarge": "L-D438008E",
}  # fmt: skip
_TRANSFORM = {
    "ml.m5.large": "L-236AE59F", "ml.m5.xlarge": "L-7939E4EC", "ml.c5.2xlarge": "L-9215A13F",
    "ml.g4dn.xlarge": "L-4C5C5CA8", "ml.g4dn.2xlarge": "L-180A6F2D", "ml.p3.2xlarge": "L-45F58E7E",
}  # fmt: skip

# service, name, code, value
_KNOWN: tuple[tuple[str, str, str, float], ...] = (
    *(("sagemaker", f"{kind} for endpoint usage", code, INSTANCES) for kind, code in _ENDPOINT.items()),
    *(("sagemaker", f"{kind} for training job usage", code, JOBS) for kind, code in _TRAINING.items()),
    *(("sagemaker", f"{kind} for transform job usage", code, JOBS) for kind, code in _TRANSFORM.items()),
    ("lambda", "Concurrent executions", "L-B99A9384", 1000.0),
    ("ec2", "EC2-VPC Elastic IPs", "L-0263D0A3", 5.0),
    ("ec2", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", "L-1216C47A", 64.0),
    ("vpc", "VPCs per Region", "L-F678F1CE", 5.0),
    ("vpc", "NAT gateways per Availability Zone", "L-FE5A380F", 5.0),
    ("vpc", "Internet gateways per Region", "L-A4707A72", 5.0),
    ("vpc", "Interface VPC endpoints per VPC", "L-29B6F2EB", 50.0),
)

_given: dict[str, float] = {}
_lock = threading.Lock()


class ResourceLimitExceeded(SagemakerClientError):
    code = "ResourceLimitExceeded"


def limit(name: str, default: float) -> float:
    """What the account may have of what AWS calls so: as it was set, else `default`."""
    with _lock:
        return _given.get(name, default)


def admit(name: str, used: float, more: float, default: float) -> None:
    """Let so many more in.

    Raises:
        ResourceLimitExceeded: the quota does not.
    """
    most = limit(name, default)
    if used + more > most:
        raise ResourceLimitExceeded(
            f"The account-level service limit '{name}' is {most:g} Instances, with current utilization of "
            f"{used:g} Instances and a request delta of {more:g} Instances. Please use AWS Service Quotas to "
            "request an increase for this quota. If AWS Service Quotas is not available, contact AWS support to "
            "request an increase for this quota."
        )


def change(values: Mapping[str, float] | None) -> None:
    """Set values by name; None takes all back.

    Raises:
        ValueError: a value is no number from 0.
    """
    if values is not None and not isinstance(values, Mapping):
        raise ValueError(values)
    for name, value in (values or {}).items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise ValueError(f"{name}: {value}")
    with _lock:
        if values is None:
            _given.clear()
        else:
            _given.update(values)


class ServiceQuotas(ServiceQuotasResponse):
    """moto knows the defaults of VPC alone."""

    def list_service_quotas(self) -> str:
        request = json.loads(self.body)
        if request.get("QuotaCode") or request.get("QuotaAppliedAtLevel") not in (None, "ACCOUNT"):
            raise NotImplementedError("ListServiceQuotas by QuotaCode, or of resources")
        service = request["ServiceCode"]
        if service not in _SERVICES:
            raise NoSuchResource
        found = [self._entry(*one) for one in _KNOWN if one[0] == service]
        start, size = int(request.get("NextToken") or 0), int(request.get("MaxResults") or _PAGE)
        more = {"NextToken": str(start + size)} if start + size < len(found) else {}
        return json.dumps({"Quotas": found[start : start + size], **more})

    def get_service_quota(self) -> str:
        request = json.loads(self.body)
        for one in _KNOWN:
            if (one[0], one[2]) == (request["ServiceCode"], request["QuotaCode"]):
                return json.dumps({"Quota": self._entry(*one)})
        return super().get_service_quota()

    def _entry(self, service: str, name: str, code: str, value: float) -> dict[str, Any]:
        return {
            "ServiceCode": service,
            "ServiceName": _SERVICES[service],
            "QuotaArn": f"arn:aws:servicequotas:{self.region}:{self.current_account}:{service}/{code}",
            "QuotaCode": code,
            "QuotaName": name,
            "Value": limit(name, value),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
            "QuotaAppliedAtLevel": "ACCOUNT",
        }


def with_quotas(app: WSGIApplication) -> WSGIApplication:
    """`app`, with the route that sets quotas answered before it sees the request."""

    def routed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH:
            return app(environ, start_response)
        if not _ROOT.match(environ.get("HTTP_AUTHORIZATION", "")):
            return _answer(start_response, HTTPStatus.FORBIDDEN, {"message": "Only root sets quotas."})
        try:
            if environ["REQUEST_METHOD"] == "POST":
                change(json.loads(environ["wsgi.input"].read()))
            elif environ["REQUEST_METHOD"] == "DELETE":
                change(None)
        except ValueError as error:
            told = f"The body must be {{name of a quota: number from 0}}: {error}"
            return _answer(start_response, HTTPStatus.BAD_REQUEST, {"message": told})
        with _lock:
            return _answer(start_response, HTTPStatus.OK, dict(_given))

    return routed


def _answer(start_response: StartResponse, status: HTTPStatus, document: dict[str, Any]) -> list[bytes]:
    body = json.dumps(document).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", headers)
    return [body]


def install(_: Config) -> None:
    change(None)
    gaps.replace_responses(urls, ServiceQuotas)
