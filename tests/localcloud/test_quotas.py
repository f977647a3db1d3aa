from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.control import CloudInfo
from tests.localcloud.endpoints import Deployer

pytestmark = pytest.mark.cloud

ENDPOINTS = "ml.m5.large for endpoint usage"
ROOT = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/quotas/aws4_request"


def ask(cloud: CloudInfo, method: str, body: Any = None, *, caller: str = ROOT) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{cloud.endpoint_url}/_localcloud/quotas", method=method, headers={"Authorization": caller},
        data=None if body is None else json.dumps(body).encode(),
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=30) as answer:
        told: dict[str, Any] = json.load(answer)
        return told


def test_quotas_are_listed_by_the_names_and_codes_of_aws(client: Callable[[str], Any]) -> None:
    asked = client("service-quotas")
    pages = asked.get_paginator("list_service_quotas").paginate(
        ServiceCode="sagemaker", PaginationConfig={"PageSize": 10}
    )
    found = {quota["QuotaName"]: quota for page in pages for quota in page["Quotas"]}
    assert found[ENDPOINTS]["QuotaCode"] == "L-614B09FD"
    assert found[ENDPOINTS]["Value"] == 100
    assert found["ml.m5.xlarge for training job usage"]["QuotaCode"] == "L-CCE2AFA6"
    told = asked.get_service_quota(ServiceCode="lambda", QuotaCode="L-B99A9384")["Quota"]
    assert (told["QuotaName"], told["Value"]) == ("Concurrent executions", 1000)
    with pytest.raises(ClientError, match="NoSuchResourceException"):
        asked.list_service_quotas(ServiceCode="nothing")


def test_an_endpoint_beyond_the_quota_is_refused_and_an_update_needs_it_twice(
    fast_cloud: CloudInfo, deployer: Deployer
) -> None:
    kind = "ml.c5.large for endpoint usage"  # of no other test's endpoints
    ask(fast_cloud, "POST", {kind: 1})
    try:
        config = deployer.config(deployer.model(), InstanceType="ml.c5.large")
        name = deployer.create(config)
        assert deployer.settled(name)["EndpointStatus"] == "InService"
        with pytest.raises(ClientError) as caught:
            deployer.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
        assert caught.value.response["Error"]["Code"] == "ResourceLimitExceeded"
        told = f"The account-level service limit '{kind}' is 1 Instances, with current utilization of 1 Instances"
        assert told in caught.value.response["Error"]["Message"]
        with pytest.raises(ClientError, match="ResourceLimitExceeded"):
            deployer.create(config)
    finally:
        ask(fast_cloud, "DELETE")
    assert ask(fast_cloud, "GET") == {}


@pytest.mark.parametrize(
    ("body", "caller", "status"), [({ENDPOINTS: -1}, ROOT, 400), ([], ROOT, 400), ({}, "", 403)]
)
def test_only_root_sets_quotas_and_only_to_numbers(
    cloud: CloudInfo, body: Any, caller: str, status: int
) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(cloud, "POST", body, caller=caller)
    with caught.value as answer:
        assert answer.code == status
