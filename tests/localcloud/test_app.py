from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from localcloud.control import CloudInfo


@pytest.mark.parametrize(
    ("service", "operation", "request_", "named"),
    [
        ("sagemaker", "list_workteams", {}, "sagemaker: ListWorkteams"),  # JSON
        ("ec2", "describe_fpga_images", {}, "describe_fpga_images"),  # EC2 query
        ("iam", "get_mfa_device", {"SerialNumber": "a" * 9}, "get_mfa_device"),  # query
        (
            "lambda",
            "list_function_versions_by_capacity_provider",
            {"CapacityProviderName": "x"},
            "lambda: GET",
        ),
        ("braket", "search_devices", {"filters": []}, "braket: POST /devices"),  # no such service in moto
    ],
)
def test_what_is_not_implemented_is_named_in_an_error(
    client: Callable[[str], Any], service: str, operation: str, request_: dict[str, Any], named: str
) -> None:
    with pytest.raises(ClientError, match="The embedded cloud does not implement") as caught:
        getattr(client(service), operation)(**request_)
    assert caught.value.response["Error"]["Code"] == "NotImplemented"
    assert named in caught.value.response["Error"]["Message"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_a_missing_object_is_still_a_missing_object(client: Callable[[str], Any]) -> None:
    client("s3").create_bucket(Bucket="no-objects")
    with pytest.raises(ClientError) as caught:
        client("s3").get_object(Bucket="no-objects", Key="none")
    assert caught.value.response["Error"]["Code"] == "NoSuchKey"
    with pytest.raises(ClientError) as caught:
        client("s3").head_bucket(Bucket="no-such-bucket")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_a_connection_serves_many_requests(cloud: CloudInfo) -> None:
    with urllib3.PoolManager() as pool:
        for size in (0, 10, 100_000):
            answer = pool.request(
                "PUT", f"{cloud.endpoint_url}/kept-alive/{size}", body=b"x" * size, retries=False
            )
            assert answer.status == 403  # unsigned
        connections = pool.connection_from_url(cloud.endpoint_url)
        assert connections.num_connections == 1
        assert connections.num_requests == 3


def test_an_object_of_many_megabytes_makes_the_round_trip(client: Callable[[str], Any]) -> None:
    client("s3").create_bucket(Bucket="large")
    body = bytes(range(256)) * 80_000  # 20 MB
    client("s3").put_object(Bucket="large", Key="model", Body=body)
    assert client("s3").get_object(Bucket="large", Key="model")["Body"].read() == body


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Origin": "https://evil.example"}, "from 'https://evil.example'"),
        ({"Origin": "null"}, "from 'null'"),
        ({"Origin": "http://localhost:3000"}, "from 'http://localhost:3000'"),
        ({"Sec-Fetch-Site": "cross-site"}, "is 'cross-site'"),
        ({"Host": "rebound.evil.example"}, "not to Host 'rebound.evil.example'"),
        ({"Host": "127.0.0.1.evil.example"}, "not to Host"),
    ],
)
def test_a_web_page_cannot_drive_the_cloud(
    client: Callable[[str], Any], cloud: CloudInfo, headers: dict[str, str], said: str
) -> None:
    answer = urllib3.request("PUT", f"{cloud.endpoint_url}/of-a-web-page", headers=headers, retries=False)
    assert answer.status == 403
    assert said in answer.data.decode()
    assert "of-a-web-page" not in [one["Name"] for one in client("s3").list_buckets()["Buckets"]]


@pytest.mark.parametrize("host", ["localhost:1234", "[::1]:1", "a.localhost", "b.s3.us-east-1.amazonaws.com"])
def test_the_cloud_answers_to_its_names_and_aws_s(cloud: CloudInfo, host: str) -> None:
    answer = urllib3.request("GET", cloud.endpoint_url, headers={"Host": host}, retries=False)
    assert b"answers to" not in answer.data


def test_moto_s_own_api_is_switched_off(client: Callable[[str], Any], cloud: CloudInfo) -> None:
    client("s3").create_bucket(Bucket="not-reset")
    url = f"{cloud.endpoint_url}/moto-api/reset"
    answer = urllib3.request("POST", url, headers=signed("POST", url), retries=False)
    assert (answer.status, b"switched off" in answer.data) == (501, True)
    assert "not-reset" in [one["Name"] for one in client("s3").list_buckets()["Buckets"]]


def signed(method: str, url: str) -> dict[str, str]:
    request = AWSRequest(method, url)
    SigV4Auth(Credentials("local", "local"), "sagemaker", "us-east-1").add_auth(request)
    return dict(request.headers.items())


@pytest.mark.parametrize(
    ("method", "by_root", "headers", "status", "said"),
    [
        ("POST", True, {}, 400, "Endpoint none of account 123456789012 not found."),
        ("POST", True, {"Origin": "https://evil.example"}, 403, "no requests from web pages"),
        ("GET", True, {}, 501, "InvokeEndpoint is a POST request"),
        ("POST", False, {}, 403, "s3:"),
    ],
)
def test_an_invocation_is_a_signed_post_of_no_web_page(
    cloud: CloudInfo, method: str, by_root: bool, headers: dict[str, str], status: int, said: str
) -> None:
    url = f"{cloud.endpoint_url}/endpoints/none/invocations"
    headers = {**(signed(method, url) if by_root else {}), **headers}
    answer = urllib3.request(method, url, headers=headers, retries=False)
    assert (answer.status, said in answer.data.decode()) == (status, True)
