from __future__ import annotations

import pytest

from ml.serving.errors import RequestError
from ml.serving.headers import deadline, request_id

ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({b"x-request-id": b"a-1", b"x-amzn-sagemaker-inference-id": b"b"}, "a-1"),
        ({ATTRIBUTES: b"deadline=2; request-id=c.3", b"x-amzn-sagemaker-inference-id": b"b"}, "c.3"),
        ({b"x-amzn-sagemaker-inference-id": b"b_2"}, "b_2"),
        ({b"x-request-id": b"no good", b"x-amzn-sagemaker-inference-id": b"b"}, "b"),
    ],
)
def test_the_callers_id_is_taken_from_where_it_is(headers: dict[bytes, bytes], expected: str) -> None:
    assert request_id(headers) == expected


def test_a_request_without_an_id_gets_one_of_its_own() -> None:
    assert len({request_id({}), request_id({})}) == 2


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (b"", 10),
        (b"trace=1", 10),
        (b"deadline=2.5", 2.5),
        (b"request-id=a,Deadline = 3", 3),
        (b"deadline=60", 10),
    ],
)
def test_a_caller_may_shorten_the_deadline(attributes: bytes, expected: float) -> None:
    assert deadline({ATTRIBUTES: attributes}, 10) == expected


@pytest.mark.parametrize("value", [b"", b"soon", b"-1", b"1e3", b"nan", b"999999"])
def test_a_deadline_that_is_no_number_is_refused(value: bytes) -> None:
    with pytest.raises(RequestError, match="has to be a number of seconds") as caught:
        deadline({ATTRIBUTES: b"deadline=" + value}, 10)
    assert (caught.value.status_code, caught.value.code) == (400, "invalid_deadline")
