from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import events
import handler
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lambda_errors import (
    CallerError,
    EndpointUnavailableError,
    MalformedPredictionError,
    ModelFailedError,
    SettingsError,
)

from tests.lambda_fakes import JPEG, Call, FakeEndpoint, Remote, Reply, http_event

URL = "{url}"  # stands for the photo's URL in the tables below
ENCODED = base64.b64encode(JPEG).decode()
TOP = [{"label": 56, "name": "057.Dalmatian", "probability": 0.9}]
VERBOSE = json.dumps({"predictions": [{**TOP[0], "top": TOP}]}).encode()
RICH = {**TOP[0], "top": TOP}


def scores(label: int, count: int = 133) -> bytes:
    return json.dumps([[float(number == label) for number in range(count)]]).encode()


def fill(event: Any, url: str) -> Any:
    return json.loads(json.dumps(event).replace(URL, url))


def inside(request: dict[str, str]) -> str:
    return json.dumps(json.dumps(request))[1:-1]


@pytest.mark.parametrize(
    "event",
    [
        {"endpoint_name": "p4-dog-breed-classification", "request_dict": json.dumps({"url": URL})},
        {"endpoint_name": "kennel-local", "request_dict": json.dumps({"url": URL})},
        {"request_dict": json.dumps({"url": URL})},
        {"request_dict": json.dumps(json.dumps({"url": URL}))},
        {"request_dict": inside({"url": URL})},
        {"request_dict": " " + json.dumps({"url": URL}, indent=2)},
        {"request_dict": {"url": URL}},
        {"request_dict": {"url": URL, "more": 1}, "more": 1},
        {"request_dict": json.dumps({"image": ENCODED})},
        {"request_dict": json.dumps(json.dumps({"image": ENCODED}))},
    ],
    ids=range(10),
)
def test_the_replaced_workflows_event_gets_its_answer(
    event: dict[str, Any], function: Call, endpoint: FakeEndpoint, remote: Remote
) -> None:
    endpoint.replies = [Reply(body=scores(56))]
    assert function(fill(event, remote.photo())) == [56]
    request = endpoint.requests[0]
    assert request.path == "/endpoints/kennel-local/invocations"
    assert request.body == JPEG
    assert request.headers["content-type"] == "image/jpeg"
    assert request.headers["accept"] == "application/json"


@pytest.mark.parametrize(
    ("body", "labels"),
    [
        (b"[[0.1, 0.9]]", [1]),
        (b"[[-3, -2.5, -9]]", [1]),
        (b"[[1, 1, 0]]", [0]),
        (b"[[0, 1], [1, 0], [0, 2]]", [1, 0, 1]),
        (b"[[7]]", [0]),
    ],
)
def test_the_answer_is_the_number_of_the_highest_score_of_each_row(
    body: bytes, labels: list[int], function: Call, endpoint: FakeEndpoint
) -> None:
    endpoint.replies = [Reply(body=body)]
    assert function({"request_dict": {"image": ENCODED}}) == labels


@pytest.mark.parametrize(
    ("event", "top_k"),
    [
        ({"url": URL}, 5),
        ({"url": URL, "top_k": 1}, 1),
        ({"url": URL, "top_k": 1000, "endpoint_name": "kennel-local"}, 1000),
        ({"image": ENCODED, "endpoint_name": "p4-dog-breed-classification"}, 5),
    ],
)
def test_the_rich_event_gets_names_and_probabilities(
    event: dict[str, Any], top_k: int, function: Call, endpoint: FakeEndpoint, remote: Remote
) -> None:
    endpoint.replies = [Reply(body=VERBOSE)]
    assert function(fill(event, remote.photo())) == RICH
    assert endpoint.requests[0].headers["accept"] == f"application/json;verbose=1;top={top_k}"
    assert endpoint.requests[0].body == JPEG


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        (http_event(JPEG, "image/jpeg"), RICH),
        (http_event(JPEG, "Image/JPG; q=1"), RICH),
        (http_event(JPEG, "application/x-image"), RICH),
        (http_event(JPEG, "image/png", query={"top_k": "3", "endpoint_name": "kennel-local"}), RICH),
        (http_event(json.dumps({"image": ENCODED, "top_k": 2}).encode(), "application/json"), RICH),
        (http_event(json.dumps({"url": URL}).encode(), "application/json; charset=utf-8"), RICH),
        (
            {**http_event(b"", "application/json"), "body": ENCODED_JSON, "isBase64Encoded": True}
            if (ENCODED_JSON := base64.b64encode(json.dumps({"image": ENCODED}).encode()).decode())
            else {},
            RICH,
        ),
    ],
    ids=range(7),
)
def test_a_function_urls_event_gets_an_http_answer(
    event: dict[str, Any], answer: object, function: Call, endpoint: FakeEndpoint, remote: Remote
) -> None:
    endpoint.replies = [Reply(body=VERBOSE)]
    got = function({**event, "body": event["body"].replace(URL, remote.photo())})
    assert got["statusCode"] == 200
    assert got["headers"] == {"content-type": "application/json"}
    assert json.loads(got["body"]) == answer
    assert endpoint.requests[0].body == JPEG


def test_a_function_url_takes_the_replaced_workflows_event_too(
    function: Call, endpoint: FakeEndpoint
) -> None:
    endpoint.replies = [Reply(body=scores(56))]
    body = json.dumps({"request_dict": json.dumps({"image": ENCODED})}).encode()
    assert function(http_event(body, "application/json"))["body"] == "[56]"


@pytest.mark.parametrize(
    ("event", "status", "kind", "message"),
    [
        (None, 400, "invalid_event", "The event must be a JSON object."),
        ([], 400, "invalid_event", "The event must be a JSON object."),
        ("{}", 400, "invalid_event", "The event must be a JSON object."),
        ({}, 400, "invalid_event", "Give one of url and image (base64)."),
        ({"url": "https://a.com/", "image": "AAAA"}, 400, "invalid_event", "Give one of url and image (base64)."),
        ({"url": ""}, 400, "invalid_event", "url must be a string that is not empty."),
        ({"url": ["https://a.com/"]}, 400, "invalid_event", "url must be a string that is not empty."),
        ({"image": None}, 400, "invalid_event", "image must be a string that is not empty."),
        ({"image": "AAAA\n"}, 400, "invalid_base64", "The image is not valid base64."),
        ({"image": "ÄÄÄÄ"}, 400, "invalid_base64", "The image is not valid base64."),
        ({"image": "A" * 7_000_000}, 413, "too_large", "The image has more than 5242880 bytes."),
        ({"url": "x", "topk": 3}, 400, "invalid_event", "The event may hold endpoint_name, image, top_k, url, or "
         "endpoint_name and request_dict; 1 of its keys are none of these."),
        ({"image": "AAAA", "top_k": 0}, 400, "invalid_event", "top_k must be a whole number from 1 to 1000."),
        ({"image": "AAAA", "top_k": 1001}, 400, "invalid_event", "top_k must be a whole number from 1 to 1000."),
        ({"image": "AAAA", "top_k": True}, 400, "invalid_event", "top_k must be a whole number from 1 to 1000."),
        ({"image": "AAAA", "top_k": "5"}, 400, "invalid_event", "top_k must be a whole number from 1 to 1000."),
        ({"image": "AAAA", "top_k": None}, 400, "invalid_event", "top_k must be a whole number from 1 to 1000."),
        ({"image": "AAAA", "endpoint_name": "other"}, 403, "forbidden_endpoint",
         "endpoint_name is not one of the allowed endpoints."),
        ({"image": "AAAA", "endpoint_name": "../x"}, 403, "forbidden_endpoint",
         "endpoint_name is not one of the allowed endpoints."),
        ({"image": "AAAA", "endpoint_name": None}, 400, "invalid_event", "endpoint_name must be a string."),
        ({"request_dict": "{"}, 400, "invalid_json", "The text is not valid JSON."),
        ({"request_dict": "[" * 100_000}, 400, "invalid_json", "The text is not valid JSON."),
        ({"request_dict": json.dumps("\ud800")}, 400, "invalid_json", "The text is not valid JSON."),
        ({"request_dict": "[1]"}, 400, "invalid_event", 'request_dict must be JSON like {"url": "https://…"}.'),
        ({"request_dict": None}, 400, "invalid_event", 'request_dict must be JSON like {"url": "https://…"}.'),
        ({"request_dict": json.dumps(json.dumps(json.dumps({"url": "x"})))}, 400, "invalid_event",
         'request_dict must be JSON like {"url": "https://…"}.'),
        ({"request_dict": "{}"}, 400, "invalid_event", "Give one of url and image (base64)."),
        ({"url": "https://169.254.169.254/"}, 400, "forbidden_address",
         "The host has an address that is not on the public internet."),
        ({"url": "ftp://example.com/"}, 400, "forbidden_scheme", "Only http and https URLs are fetched."),
        ({"Records": [{"s3": {}}]}, 400, "invalid_event", "The event may hold endpoint_name, image, top_k, url, or "
         "endpoint_name and request_dict; 1 of its keys are none of these."),
    ],
    ids=range(30),
)  # fmt: skip
def test_a_callers_mistake_is_answered_and_not_raised(
    event: object, status: int, kind: str, message: str, function: Call, endpoint: FakeEndpoint
) -> None:
    assert function(event) == {"statusCode": status, "error": {"type": kind, "message": message}}
    assert endpoint.requests == []


@pytest.mark.parametrize(
    ("event", "status", "kind"),
    [
        (http_event(JPEG, "image/gif"), 415, "unsupported_type"),
        (http_event(JPEG, "application/x-www-form-urlencoded"), 415, "unsupported_type"),
        (http_event(JPEG, None), 415, "unsupported_type"),
        (http_event(b"", "image/jpeg"), 400, "invalid_event"),
        (http_event(b"x" * 6_000_000, "image/jpeg"), 413, "too_large"),
        (http_event(JPEG, "image/jpeg", query={"top_k": "-1"}), 400, "invalid_event"),
        (http_event(JPEG, "image/jpeg", query={"top_k": "٣"}), 400, "invalid_event"),
        (http_event(JPEG, "image/jpeg", query={"endpoint_name": "other"}), 403, "forbidden_endpoint"),
        (http_event(b"", "image/jpeg", method="GET"), 405, "method_not_allowed"),
        (http_event(b"{", "application/json"), 400, "invalid_json"),
        (http_event(b"[]", "application/json"), 400, "invalid_event"),
        (http_event(b'{"url": "https://10.0.0.1/"}', "application/json"), 400, "forbidden_address"),
        ({"requestContext": {"elb": {}}, "httpMethod": "POST", "body": ""}, 400, "invalid_event"),
        ({"requestContext": None}, 400, "invalid_event"),
        ({**http_event(JPEG, "image/jpeg"), "headers": None}, 400, "invalid_event"),
        ({**http_event(JPEG, "image/jpeg"), "body": 5}, 400, "invalid_event"),
        ({**http_event(JPEG, "image/jpeg"), "body": "%%%"}, 400, "invalid_base64"),
    ],
    ids=range(17),
)
def test_a_callers_mistake_over_http_is_answered_over_http(
    event: object, status: int, kind: str, function: Call, endpoint: FakeEndpoint
) -> None:
    answer = function(event)
    assert answer["statusCode"] == status
    assert json.loads(answer["body"])["error"]["type"] == kind
    assert endpoint.requests == []


@pytest.mark.parametrize(
    ("message", "kind", "text"),
    [
        ('{"error": {"type": "broken_image", "message": "No image."}}', "broken_image", "No image."),
        ("<html>Traceback: secret</html>", "image_refused", "The model refused the image."),
        ('{"error": "secret"}', "image_refused", "The model refused the image."),
    ],
)
@pytest.mark.parametrize("status", [400, 413, 415])
def test_the_models_refusal_is_the_callers_mistake(
    message: str, kind: str, text: str, status: int, function: Call, endpoint: FakeEndpoint
) -> None:
    endpoint.replies = [endpoint.model_error(status, message)]
    expected = {"statusCode": status, "error": {"type": kind, "message": text}}
    assert function({"request_dict": {"image": ENCODED}}) == expected
    assert len(endpoint.requests) == 1


def test_a_failing_model_is_raised_on_a_direct_event(function: Call, endpoint: FakeEndpoint) -> None:
    endpoint.replies = [endpoint.model_error(500, "Traceback: secret")]
    with pytest.raises(ModelFailedError) as caught:
        function({"image": ENCODED})
    assert str(caught.value) == "The model of endpoint kennel-local failed with status 500."


@pytest.mark.parametrize(
    ("reply", "status", "kind"),
    [
        (Reply(429, b"{}"), 503, "endpoint_unavailable"),
        (Reply(400, b'{"message": "Endpoint not found."}'), 502, "endpoint_refused"),
        (Reply(200, b"no JSON"), 502, "malformed_prediction"),
    ],
)
def test_a_failing_endpoint_is_answered_over_http(
    reply: Reply, status: int, kind: str, function: Call, endpoint: FakeEndpoint
) -> None:
    endpoint.replies = [reply]
    answer = function(http_event(JPEG, "image/jpeg"))
    assert answer["statusCode"] == status
    assert json.loads(answer["body"])["error"]["type"] == kind


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"[[]]",
        b"[0.1, 0.9]",
        b"[[NaN, 1]]",
        b'[["a"]]',
        b"{}",
        b"null",
        b"[[null]]",
        b"[[1" + b"0" * 400 + b"]]",
        b"[" * 99999,
    ],
)
def test_malformed_scores_are_raised(body: bytes, function: Call, endpoint: FakeEndpoint) -> None:
    endpoint.replies = [Reply(body=body)]
    with pytest.raises(MalformedPredictionError) as caught:
        function({"request_dict": {"image": ENCODED}})
    assert str(caught.value) == "The endpoint's answer does not hold scores in two dimensions."


@pytest.mark.parametrize(
    "body", [b"[[0.1]]", b"{}", b'{"predictions": []}', b'{"predictions": [{"label": 1}]}']
)
def test_malformed_names_are_raised(body: bytes, function: Call, endpoint: FakeEndpoint) -> None:
    endpoint.replies = [Reply(body=body)]
    with pytest.raises(MalformedPredictionError) as caught:
        function({"image": ENCODED})
    assert str(caught.value) == "The endpoint's answer does not hold predictions with names."


def test_without_a_default_the_event_must_name_the_endpoint(
    function: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENDPOINT_NAME")
    monkeypatch.setenv("ALLOWED_ENDPOINTS", "kennel-local, other")
    assert function({"image": ENCODED})["error"]["type"] == "invalid_event"
    assert function({"request_dict": {"image": ENCODED}, "endpoint_name": "other"}) == [1]


def test_wrong_settings_are_raised_by_each_call(function: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FETCH_ALLOW_HTTP", "True")
    for _ in range(2):
        with pytest.raises(SettingsError, match="FETCH_ALLOW_HTTP must be true or false; received 'True'"):
            function({"image": ENCODED})


def test_a_slow_photo_is_the_callers_mistake_and_leaves_the_function_its_time(
    function: Call, remote: Remote
) -> None:
    remote.pages["/"] = lambda _, over: over.wait() and None
    answer = function(
        {"url": remote.url + "/"}, seconds=1.8
    )  # less 0.5 for the answer, less 1 for the endpoint
    assert answer["statusCode"] == 424
    assert answer["error"] == {"type": "timeout", "message": answer["error"]["message"]}


def test_a_call_without_a_context_works(function: Call) -> None:
    assert handler.lambda_handler({"request_dict": {"image": ENCODED}}, None) == [1]


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_call_logs_one_line_without_payload_or_url(
    function: Call, endpoint: FakeEndpoint, remote: Remote, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint.replies = [Reply(headers={"x-Amzn-Invoked-Production-Variant": "AllTraffic"})]
    function({"request_dict": {"url": remote.photo("/dog.jpg?X-Amz-Signature=secret")}})
    endpoint.replies = [endpoint.model_error(400, "secret")]
    function({"request_dict": {"image": ENCODED}})
    endpoint.replies = [Reply(503, b"secret")]
    with pytest.raises(EndpointUnavailableError):
        function({"request_dict": {"image": ENCODED}})
    captured = capsys.readouterr().out
    assert "secret" not in captured
    assert "a-token" not in captured
    good, refused, failed = [json.loads(line) for line in captured.splitlines()]
    assert good.pop("timestamp").endswith("+00:00")
    assert all(good.pop(name) >= 0 for name in ("fetch_ms", "endpoint_ms", "total_ms"))
    assert good == {
        "level": "INFO",
        "message": "predicted",
        "request_id": "00000000-0000-0000-0000-000000000001",
        "cold_start": True,
        "endpoint": "kennel-local",
        "source": "url",
        "bytes": len(JPEG),
        "attempts": 1,
        "variant": "AllTraffic",
        "status": 200,
    }
    assert (refused["level"], refused["message"], refused["status"], refused["error"]) == (
        "WARNING",
        "refused",
        400,
        "image_refused",
    )
    assert refused["cold_start"] is False
    assert (failed["level"], failed["message"], failed["status"], failed["error"]) == (
        "ERROR",
        "failed",
        503,
        "endpoint_unavailable",
    )


def test_the_log_level_is_kept(
    function: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "warning")
    function({"request_dict": {"image": ENCODED}})
    function({})
    assert [line["message"] for line in lines(capsys)] == ["refused"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
KEYS = [
    "url",
    "image",
    "endpoint_name",
    "top_k",
    "request_dict",
    "requestContext",
    "headers",
    "body",
    "http",
    "method",
]


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), JSON) | JSON)
def test_any_event_is_understood_or_is_the_callers_mistake(event: object) -> None:
    with contextlib.suppress(CallerError):
        events.parse(event, 1000)
