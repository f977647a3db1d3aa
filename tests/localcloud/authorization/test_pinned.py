"""Requests that could be read in two ways: what is done is what was judged."""

from __future__ import annotations

import gzip
import json

import pytest
from botocore.exceptions import ClientError

from localcloud.control import CloudInfo
from tests.clients import clients
from tests.localcloud.authorization.conftest import ACCOUNT, AsRole, Client, allow, deny
from tests.localcloud.authorization.raw import JSON, Raw

PARAMETERS = f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter"
GET_PARAMETER = {**JSON, "X-Amz-Target": "AmazonSSM.GetParameter"}
LIST_ENDPOINTS = {**JSON, "X-Amz-Target": "SageMaker.ListEndpoints"}
PART = '--B\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
FORM = (PART.format("key", "planted") + PART.format('file"; filename="f', "x") + "--B--\r\n").encode()
FUNCTION = "/2015-03-31/functions/f"
WHO_AM_I = "Action=GetCallerIdentity&Version=2011-06-15"


def _zipped(text: bytes) -> bytes:
    """The same bytes each time, since they are in a test's name."""
    return gzip.compress(text, mtime=0)


@pytest.fixture(scope="module", autouse=True)
def things(client: Client) -> None:
    for bucket in ("latest", "private"):
        client("s3").create_bucket(Bucket=bucket)
        client("s3").put_object(Bucket=bucket, Key="key", Body=b"secret")
    client("s3").put_object(Bucket="private", Key="_localcloud/key", Body=b"secret")
    for name, value in (("mine", "mine"), ("theirs", "secret")):
        client("ssm").put_parameter(Name=name, Value=value, Type="String")
        client("sqs").create_queue(QueueName=name)


@pytest.mark.parametrize(
    "raw",
    [
        Raw("GET", "/latest/key"),
        Raw("GET", "/_localcloud/key", headers={"Host": "private.s3.amazonaws.com"}),
        Raw("GET", f"/private/key?{WHO_AM_I}", "sts", presigned=True),
        Raw("GET", f"/private/key?{WHO_AM_I}", "sts", region="us east-1"),
        Raw("POST", "/?Name=theirs", "ssm", b'{"Name": "mine"}', GET_PARAMETER),
        Raw("POST", "/", "ssm", b'{"Name": "mine", "x": "&Name=theirs&"}', GET_PARAMETER),
        Raw("POST", "/", "ssm", b'{"name": "mine", "Name": "theirs"}', GET_PARAMETER),
        Raw("POST", "/", "ssm", _zipped(b'{"Name": "theirs"}'), {**GET_PARAMETER, "Content-Encoding": "gzip"}),
        Raw("POST", "/", "ssm", b'{"Name": "theirs"', GET_PARAMETER),
    ],
    ids=str,
)  # fmt: skip
def test_nobody_gets_at_a_secret_by_a_request_with_two_readings(
    cloud: CloudInfo, as_role: AsRole, raw: Raw
) -> None:
    one = as_role(
        allow("ssm:GetParameter", f"{PARAMETERS}/*"), deny("ssm:GetParameter", f"{PARAMETERS}/theirs")
    )
    _, said = raw.send(cloud, one)
    assert b"secret" not in said


@pytest.mark.parametrize(
    ("raw", "done"),
    [
        (Raw("DELETE", FUNCTION, "lambda", headers={"X-Amz-Target": "x.ListFunctions"}), "lambda:DeleteFunction"),
        (Raw("POST", "/?Action=ListUsers&Version=2010-05-08", "iam", b"Action=ListRoles"), "iam:POST request"),
        (Raw("POST", "/x/BatchPutMetrics", "sagemaker", b"{}", LIST_ENDPOINTS), "sagemaker:POST request"),
    ],
    ids=str,
)  # fmt: skip
def test_the_operation_is_where_its_service_has_it(
    cloud: CloudInfo, as_role: AsRole, raw: Raw, done: str
) -> None:
    may = as_role(allow(["lambda:ListFunctions", "iam:List*", "sagemaker:List*"]))
    status, said = raw.send(cloud, may)
    assert status in (400, 403)
    assert f"not authorized to perform: {done}" in said.decode()


def test_no_other_action_hides_in_a_request(cloud: CloudInfo, as_role: AsRole) -> None:
    lists = as_role(allow(["sagemaker:ListEndpoints", "lambda:GetFunction"]))
    body = b'{"EndpointName": "e", "x": "&Action=DeleteEndpoint&"}'
    raw = Raw("POST", "/", "sagemaker", body, LIST_ENDPOINTS)
    status, said = raw.send(cloud, lists)
    assert (status, list(json.loads(said))) == (200, ["Endpoints"])
    by_header = Raw("POST", "/", "sagemaker", b"", {**raw.headers, "Action": "ListModels"})
    assert b"Endpoints" in by_header.send(cloud, lists)[1]


def test_a_queue_is_named_by_the_name_that_aws_knows(cloud: CloudInfo, as_role: AsRole) -> None:
    own = as_role(allow("sqs:GetQueueAttributes", f"arn:aws:sqs:us-east-1:{ACCOUNT}:mine"))
    named = {"queueurl": "http://x/123456789012/mine", "QueueUrl": "http://x/123456789012/theirs"}
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.GetQueueAttributes"}
    status, said = Raw("POST", "/", "sqs", json.dumps(named).encode(), headers).send(cloud, own)
    assert (status, b"not authorized to perform: sqs:GetQueueAttributes" in said) == (400, True)


@pytest.mark.parametrize(
    "headers", [{"User-Agent": "region/eu-west-1"}, {"Host": "ssm.eu-west-1.amazonaws.com"}], ids=str
)
def test_the_region_is_the_signatures(cloud: CloudInfo, client: Client, headers: dict[str, str]) -> None:
    raw = Raw("POST", "/", "ssm", b'{"Name": "mine"}', {**GET_PARAMETER, **headers})
    status, said = raw.send(cloud, clients(cloud))
    assert (status, json.loads(said)["Parameter"]["ARN"]) == (200, f"{PARAMETERS}/mine")


def test_a_request_for_sts_without_a_signature_is_for_nothing_else(cloud: CloudInfo) -> None:
    for host in ({}, {"Host": "private.s3.amazonaws.com"}):
        said = Raw("GET", "/?Action=AssumeRoleWithWebIdentity", headers=host).send(cloud, None)
        assert (said[0], b"InvalidIdentityToken" in said[1]) == (400, True)


def test_a_compressed_body_is_read_as_it_is(cloud: CloudInfo, client: Client, as_role: AsRole) -> None:
    own = as_role(allow("ssm:GetParameter", f"{PARAMETERS}/mine"))
    headers = {**GET_PARAMETER, "Content-Encoding": "gzip"}
    raw = Raw("POST", "/", "ssm", _zipped(b'{"Name": "mine"}'), headers)
    assert raw.send(cloud, own)[0] == 200
    raw.body = b"nothing that is compressed"
    status, said = raw.send(cloud, own)
    assert (status, b"IncompleteSignatureException" in said) == (400, True)


@pytest.mark.parametrize(
    "raw",
    [
        Raw("PUT", "/private?tagging&policy", body=b"{}"),
        Raw("DELETE", "/private?policy&tagging"),
        Raw("GET", "/private/key?acl&tagging"),
        Raw("POST", "/private", body=FORM, headers={"Content-Type": "multipart/form-data; boundary=B"}),
    ],
    ids=str,
)
def test_what_has_two_readings_for_s3_is_not_even_a_foreign_roots(
    cloud: CloudInfo, client: Client, other: Client, as_role: AsRole, raw: Raw
) -> None:
    for caller in (as_role(allow("s3:*")), other):
        status, said = raw.send(cloud, caller)
        assert (status, b"does not know which rights" in said) == (403, True)
    assert [one["Key"] for one in client("s3").list_objects_v2(Bucket="private")["Contents"]][-1] == "key"


def test_the_source_of_a_copy_ends_at_its_query(cloud: CloudInfo, as_role: AsRole) -> None:
    writer = as_role(
        allow("s3:*", "arn:aws:s3:::latest/*"), allow("s3:GetObject", "arn:aws:s3:::private/*.jpg")
    )
    raw = Raw("PUT", "/latest/copy", headers={"x-amz-copy-source": "/private/key?x=.jpg"})
    status, said = raw.send(cloud, writer)
    assert (status, b's3:GetObject on resource: "arn:aws:s3:::private/key"' in said) == (403, True)


def test_what_moto_takes_for_a_deletion_of_the_bucket_is_not_done(client: Client) -> None:
    client("s3").create_bucket(Bucket="empty")
    with pytest.raises(ClientError, match="does not implement"):
        client("s3").delete_bucket_metrics_configuration(Bucket="empty", Id="x")
    client("s3").head_bucket(Bucket="empty")


def test_a_message_goes_to_no_other_topic_than_was_judged(client: Client, as_role: AsRole) -> None:
    mine, theirs = (client("sns").create_topic(Name=name)["TopicArn"] for name in ("mine", "theirs"))
    sender = as_role(allow("sns:Publish", mine))("sns")
    sender.publish(TopicArn=mine, Message="x")
    with pytest.raises(ClientError, match=f"sns:Publish on resource: {theirs}"):
        sender.publish(TopicArn=mine, TargetArn=theirs, Message="x")


def test_what_a_body_says_between_ampersands_is_data(client: Client) -> None:
    client("ssm").put_parameter(Name="query", Value="?a=1&Name=theirs&Action=DeleteParameter", Type="String")
    assert client("ssm").get_parameter(Name="query")["Parameter"]["Value"].startswith("?a=1&Name=theirs&")
