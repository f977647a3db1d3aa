from __future__ import annotations

import pytest
from botocore.exceptions import ClientError as Error
from botocore.exceptions import ConnectionClosedError, NoCredentialsError

from ops import outage


def refused(code: str, status: int) -> Error:
    metadata = {"HTTPStatusCode": status}
    return Error({"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": metadata}, "CreateModel")  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (refused("ThrottlingException", 400), "It has a bad moment. Nothing is lost"),
        (refused("SlowDown", 503), "It has a bad moment. Nothing is lost"),
        (refused("TooManyRequestsException", 429), "It has a bad moment. Nothing is lost"),
        (refused("InternalFailure", 500), "It has a bad moment. Nothing is lost"),
        (ConnectionClosedError(endpoint_url="https://x"), "It has a bad moment. Nothing is lost"),
        (refused("AccessDeniedException", 400), "Allow what it names"),
        (refused("UnauthorizedOperation", 403), "Allow what it names"),
        (refused("ResourceLimitExceeded", 400), "Raise the quota"),
        (refused("InsufficientInstanceCapacity", 400), "another instance type"),
        (NoCredentialsError(), "Sign in"),
        (refused("ValidationException", 400), "./inv doctor tells what is missing"),
    ],
)
def test_an_error_of_the_cloud_is_told_with_what_helps(error: Exception, remedy: str) -> None:
    told = outage.told(error)
    assert str(told.received) == str(error)
    assert remedy in (told.remedy or "")


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("api error SlowDown: Please reduce your request rate.", "bad moment"),
        ("operation error IAM: CreateRole, https response error StatusCode: 500", "bad moment"),
        ("waiting for creation: Unable to provision requested ML compute capacity due to", "instance type"),
        ("StatusCode: 400, ResourceLimitExceeded: The account-level service limit", "Raise the quota"),
        ("StatusCode: 400, api error VpcLimitExceeded: The maximum number of VPCs", "Raise the quota"),
        ("StatusCode: 409, LimitExceeded: Cannot exceed quota for RolesPerAccount: 1000", "Raise the quota"),
        ("StatusCode: 503, api error RequestLimitExceeded: Request limit exceeded.", "bad moment"),
        ("StatusCode: 403, api error AccessDenied: User: arn", "Allow what it names"),
    ],
)
def test_terraforms_words_are_understood_too(text: str, remedy: str) -> None:
    assert remedy in (outage.remedy_in(text) or "")


def test_what_is_none_of_these_has_no_such_remedy() -> None:
    assert outage.remedy_in("ValidationException: Endpoint name is not valid") is None
    identifier = "StatusCode: 400, RequestID: 1f403a6e-4030-4403-9403-0a403b1c2d3e, ValidationException: no"
    assert outage.remedy_in(identifier) is None
