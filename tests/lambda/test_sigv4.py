"""Our signer against botocore's: on made-up requests, and on what boto3's own client really sends."""

from __future__ import annotations

import contextlib
import datetime
import re
from typing import Any
from unittest import mock

import boto3
import botocore.auth
import pytest
import sigv4
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from endpoint_client import EndpointClient
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lambda_fakes import FakeEndpoint, Request

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NAMES = st.from_regex(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1).filter(str.strip)
TIMES = st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2100, 1, 1))


def botocores_headers(
    path: str, headers: dict[str, str], body: bytes, token: str | None, now: datetime.datetime, url: str
) -> dict[str, Any]:
    request = AWSRequest("POST", url + path, headers=headers, data=body)
    signer = botocore.auth.SigV4Auth(Credentials("AKID", SECRET, token), "sagemaker", "eu-west-1")
    with mock.patch("botocore.auth.get_current_datetime", return_value=now):
        signer.add_auth(request)
    return dict(request.headers.items())


@settings(max_examples=50, deadline=None)  # a busy machine is no failure
@given(name=NAMES, accept=VALUES, body=st.binary(), token=st.none() | VALUES, now=TIMES)
def test_it_signs_as_botocore_does(
    name: str, accept: str, body: bytes, token: str | None, now: datetime.datetime
) -> None:
    path = f"/endpoints/{name}/invocations"
    headers = {"Host": "runtime.example:8443", "Content-Type": "image/jpeg", "Accept": accept}
    ours = sigv4.signed_headers(
        "POST",
        path,
        headers,
        body,
        credentials=sigv4.Credentials("AKID", SECRET, token),
        scope=sigv4.Scope("eu-west-1", "sagemaker"),
        now=now,
    )
    assert ours == botocores_headers(path, headers, body, token, now, "https://runtime.example:8443")


@pytest.fixture
def sent(endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch) -> tuple[Request, Request]:
    """The same invocation as boto3's client sends it, and as ours does."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token")
    accept = "application/json;verbose=1;top=5"
    runtime = boto3.client(
        "sagemaker-runtime",
        region_name="eu-west-1",
        endpoint_url=endpoint.url,
        config=Config(proxies={}),
    )
    runtime.invoke_endpoint(EndpointName="dogs", Body=b"photo", ContentType="image/jpeg", Accept=accept)
    runtime.close()
    with contextlib.closing(EndpointClient(endpoint.url, "eu-west-1")) as client:
        client.invoke("dogs", b"photo", content_type="image/jpeg", accept=accept, seconds=5)
    theirs, ours = endpoint.requests
    return theirs, ours


def test_the_request_is_the_one_that_boto3_sends(sent: tuple[Request, Request]) -> None:
    theirs, ours = sent
    assert ours.path == theirs.path
    assert ours.body == theirs.body
    for name in ("content-type", "accept", "host", "content-length", "x-amz-security-token"):
        assert ours.headers[name] == theirs.headers[name]


def test_our_signer_gives_boto3s_request_the_signature_that_boto3_gave_it(
    sent: tuple[Request, Request],
) -> None:
    theirs, _ = sent
    authorization = theirs.headers["authorization"]
    names = re.search("SignedHeaders=([^,]+)", authorization)
    assert names is not None
    made_by_signer = {"x-amz-date", "x-amz-security-token"}
    signed = sigv4.signed_headers(
        "POST",
        theirs.path,
        {name: theirs.headers[name] for name in names[1].split(";") if name not in made_by_signer},
        theirs.body,
        credentials=sigv4.Credentials("AKID", SECRET, "a-token"),
        scope=sigv4.Scope("eu-west-1", "sagemaker"),
        now=datetime.datetime.strptime(theirs.headers["x-amz-date"], "%Y%m%dT%H%M%SZ"),
    )
    assert signed["Authorization"] == authorization


def test_credentials_do_not_show_their_secret() -> None:
    assert repr(sigv4.Credentials("AKID", SECRET, "a-token")) == "Credentials('AKID', …)"
