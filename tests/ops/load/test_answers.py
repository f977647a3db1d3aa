from __future__ import annotations

import pytest

from ops.load.answers import fault


@pytest.mark.parametrize(
    ("service", "status", "headers", "body", "expected"),
    [
        ("sagemaker", 200, {}, b"[[1]]", ""),
        ("sagemaker", 424, {"x-amzn-errortype": "ModelError"}, b'{"OriginalStatusCode": 500}',
         "ModelError (the model server: 500)"),
        ("sagemaker", 424, {"x-amzn-errortype": "ModelError"}, b'{"OriginalStatusCode": 503}',
         "throttled: ModelError (the model server: 503)"),
        ("sagemaker", 424, {}, b'{"OriginalStatusCode": 0}', "ModelError (the model server: no answer)"),
        ("sagemaker", 503, {"x-amzn-errortype": "ServiceUnavailable:http://"}, b"",
         "throttled: ServiceUnavailable (503)"),
        ("sagemaker", 400, {}, b'{"__type": "ThrottlingException"}', "throttled: ThrottlingException (400)"),
        ("sagemaker", 400, {}, b'{"__type": "ValidationError"}', "ValidationError (400)"),
        ("sagemaker", 502, {}, b"<html>", "HTTP (502)"),
        ("lambda", 200, {}, b'{"label": 1}', ""),
        ("lambda", 200, {}, b"[56]", ""),
        ("lambda", 200, {"x-amz-function-error": "Unhandled"}, b'{"errorType": "EndpointError"}',
         "function: EndpointError"),
        ("lambda", 200, {}, b'{"error": {"type": "not_an_image", "message": "secret"}}', "function: not_an_image"),
        ("lambda", 429, {"x-amzn-errortype": "TooManyRequestsException"}, b"{}",
         "throttled: TooManyRequestsException (429)"),
    ],
)  # fmt: skip
def test_an_answer_is_told_by_its_kind(
    service: str, status: int, headers: dict[str, str], body: bytes, expected: str
) -> None:
    assert fault(service, status, headers, body) == expected
