from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import endpoint_client
import guarded_fetch
import pytest
from endpoint_client import EndpointClient, Prediction
from lambda_errors import (
    EndpointError,
    EndpointRefusedError,
    EndpointTimeoutError,
    EndpointUnavailableError,
    MalformedPredictionError,
    ModelFailedError,
    NoCopyError,
    SettingsError,
)

from tests.lambda_fakes import FakeEndpoint, Internet, Remote, Reply

OK = Reply(body=b"[[1]]")


class Clock:
    """Time that passes by sleeping."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(endpoint: FakeEndpoint, clock: Clock) -> Iterator[EndpointClient]:
    client = EndpointClient(endpoint.url, "us-east-1", clock=clock, sleep=clock.sleep)
    yield client
    client.close()


def invoke(client: EndpointClient, seconds: float = 10) -> Prediction:
    return client.invoke("dogs", b"photo", content_type="image/png", accept="a/b", seconds=seconds)


def failure(client: EndpointClient, kind: type[EndpointError], seconds: float = 10) -> str:
    with pytest.raises(kind) as caught:
        invoke(client, seconds)
    assert type(caught.value) is kind
    return str(caught.value)


def test_the_answer_comes_with_the_number_of_attempts(client: EndpointClient, endpoint: FakeEndpoint) -> None:
    endpoint.replies = [OK]
    assert invoke(client) == Prediction(b"[[1]]", 1)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(429, b'{"message": "Rate exceeded"}', {"x-amzn-ErrorType": "ThrottlingException"}),
        Reply(429, b"{}", {"x-amzn-ErrorType": "ModelNotReadyException"}),
        Reply(500, b"{}", {"x-amzn-ErrorType": "InternalFailure"}),
        Reply(503, b"{}", {"x-amzn-ErrorType": "ServiceUnavailable"}),
        Reply(530, b"{}", {"x-amzn-ErrorType": "InternalDependencyException"}),
    ],
    ids=lambda reply: str(reply.status),
)
def test_what_passes_is_tried_again_after_a_random_pause(
    reply: Reply, client: EndpointClient, endpoint: FakeEndpoint, clock: Clock
) -> None:
    endpoint.replies = [reply, reply, OK]
    assert invoke(client).attempts == 3
    first, second = clock.slept
    assert 0 <= first <= 0.1
    assert 0 <= second <= 0.2


def test_a_process_that_is_lost_is_waited_for(
    client: EndpointClient, endpoint: FakeEndpoint, clock: Clock
) -> None:
    endpoint.replies = [endpoint.model_error(0, "The container closed the connection.")] * 6 + [OK]
    assert invoke(client).attempts == 7
    assert sum(clock.slept) > 1.5


def test_an_endpoint_that_stays_away_is_given_up_after_some_time(
    client: EndpointClient, endpoint: FakeEndpoint, clock: Clock
) -> None:
    endpoint.replies = [Reply(503, b"{}", {"x-amzn-ErrorType": "ServiceUnavailable"})]
    began = clock.now
    failure(client, EndpointUnavailableError, seconds=300)
    assert 20 <= clock.now - began < 23
    assert len(endpoint.requests) < 30


def test_a_model_that_took_too_long_is_not_asked_again(
    client: EndpointClient, endpoint: FakeEndpoint
) -> None:
    endpoint.replies = [endpoint.model_error(0, "Your invocation timed out while waiting for a response")]
    failure(client, ModelFailedError)
    assert len(endpoint.requests) == 1


def test_an_overload_is_not_made_worse(client: EndpointClient, endpoint: FakeEndpoint) -> None:
    endpoint.replies = [endpoint.model_error(503, "busy")]
    for _ in range(20):
        failure(client, EndpointUnavailableError)
    assert len(endpoint.requests) == 20 + 10  # a retry each, until the budget is spent


def test_answers_earn_retries(client: EndpointClient, endpoint: FakeEndpoint) -> None:
    endpoint.replies = [endpoint.model_error(503, "busy")]
    for _ in range(10):
        failure(client, EndpointUnavailableError)
    endpoint.replies = [OK]
    for _ in range(11):
        invoke(client)
    endpoint.requests.clear()
    endpoint.replies = [endpoint.model_error(503, "busy"), OK]
    assert invoke(client).attempts == 2


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_model_is_tried_again(status: int, client: EndpointClient, endpoint: FakeEndpoint) -> None:
    endpoint.replies = [endpoint.model_error(status, "busy"), OK]
    assert invoke(client).attempts == 2


def test_after_four_attempts_it_gives_up(client: EndpointClient, endpoint: FakeEndpoint) -> None:
    endpoint.replies = [Reply(429, b"{}", {"x-amzn-ErrorType": "ThrottlingException:http://internal/"})]
    message = failure(client, EndpointUnavailableError)
    assert message == "Endpoint dogs is not available: ThrottlingException (status 429)."
    assert len(endpoint.requests) == 4


def test_it_gives_up_when_the_pause_would_outlast_the_deadline(
    client: EndpointClient, endpoint: FakeEndpoint, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_client.random, "uniform", lambda _, high: high)
    endpoint.replies = [Reply(503, b"{}")]
    failure(client, EndpointUnavailableError, seconds=0.25)
    assert clock.slept == [0.1]
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (
            Reply(400, b'{"message": "secret"}', {"x-amzn-ErrorType": "ValidationError"}),
            "SageMaker refused the request to endpoint dogs: ValidationError (status 400).",
        ),
        (
            Reply(403, b'{"__type": "com.amazon#AccessDeniedException", "Message": "secret"}'),
            "SageMaker refused the request to endpoint dogs: AccessDeniedException (status 403).",
        ),
        (Reply(302), "SageMaker refused the request to endpoint dogs: an error (status 302)."),
        (Reply(424, b"[]"), "SageMaker refused the request to endpoint dogs: an error (status 424)."),
    ],
)  # fmt: skip
def test_what_would_not_pass_is_raised_at_once(
    reply: Reply, message: str, client: EndpointClient, endpoint: FakeEndpoint
) -> None:
    endpoint.replies = [reply]
    assert failure(client, EndpointRefusedError) == message
    assert len(endpoint.requests) == 1


def test_an_endpoint_at_zero_is_told_at_once_and_may_be_asked_again(
    client: EndpointClient, endpoint: FakeEndpoint
) -> None:
    said = b'{"Message": "Inference Component has no capacity to process this request. Try later."}'
    endpoint.replies = [Reply(400, said, {"x-amzn-ErrorType": "ValidationError"})]
    assert "scaled to zero" in failure(client, NoCopyError)
    assert (len(endpoint.requests), NoCopyError.status) == (1, 503)


def test_an_inference_component_is_asked_by_its_name(endpoint: FakeEndpoint) -> None:
    endpoint.replies = [OK]
    client = EndpointClient(endpoint.url, "us-east-1", component="dogs-classifier")
    invoke(client)
    client.close()
    headers = endpoint.requests[0].headers
    assert headers["x-amzn-sagemaker-inference-component"] == "dogs-classifier"
    assert "x-amzn-sagemaker-inference-component" in headers["authorization"]


def test_a_crash_of_the_model_is_not_repeated(client: EndpointClient, endpoint: FakeEndpoint) -> None:
    endpoint.replies = [endpoint.model_error(500, "secret")]
    message = failure(client, ModelFailedError)
    assert message == "The model of endpoint dogs failed with status 500."
    assert len(endpoint.requests) == 1


def test_no_answer_until_the_deadline_is_a_timeout_and_not_repeated(endpoint: FakeEndpoint) -> None:
    endpoint.replies = [Reply(hold=True)]
    started = time.monotonic()
    with contextlib.closing(EndpointClient(endpoint.url, "us-east-1")) as client:
        message = failure(client, EndpointTimeoutError, seconds=0.3)
    assert message == "Endpoint dogs did not answer before the function's time was up."
    assert time.monotonic() - started < 2
    assert len(endpoint.requests) == 1


def test_no_time_at_all_is_a_timeout(client: EndpointClient, endpoint: FakeEndpoint) -> None:
    failure(client, EndpointTimeoutError, seconds=-1)
    assert endpoint.requests == []


def test_a_refused_connection_is_tried_again(clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    client = EndpointClient(f"http://127.0.0.1:{port}", "us-east-1", clock=clock, sleep=clock.sleep)
    message = failure(client, EndpointUnavailableError)
    assert message == "Endpoint dogs cannot be reached: ConnectionRefusedError."
    assert 7 < sum(clock.slept) < 10  # as long as the function has time


def test_an_answer_that_breaks_off_is_tried_again(client: EndpointClient, endpoint: FakeEndpoint) -> None:
    endpoint.replies = [Reply(body=b"[[1", headers={"Content-Length": "99"}, close_after=True), OK]
    assert invoke(client) == Prediction(b"[[1]]", 2)


def test_too_long_an_answer_is_malformed(
    client: EndpointClient, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_client, "MAX_ANSWER_BYTES", 4)
    endpoint.replies = [Reply(body=b"[[12]]"), Reply(body=b"[[]]")]
    assert failure(client, MalformedPredictionError) == "The endpoint's answer has more than 4 bytes."
    assert invoke(client).body == b"[[]]"


def test_the_connection_is_kept(client: EndpointClient, endpoint: FakeEndpoint) -> None:
    endpoint.replies = [Reply(503, b"{}"), OK]
    for _ in range(3):
        invoke(client)
    assert len({request.connection for request in endpoint.requests}) == 1


def test_a_kept_connection_that_was_closed_meanwhile_costs_no_attempt(
    client: EndpointClient, endpoint: FakeEndpoint, clock: Clock
) -> None:
    endpoint.replies = [Reply(body=b"[[0]]", close_after=True), OK]
    invoke(client)
    assert invoke(client) == Prediction(b"[[1]]", 1)
    assert clock.slept == []


def test_a_connection_that_was_idle_for_long_is_not_trusted(
    client: EndpointClient, endpoint: FakeEndpoint, clock: Clock
) -> None:
    invoke(client)
    clock.now += 60
    invoke(client)
    assert len({request.connection for request in endpoint.requests}) == 2


def test_credentials_are_read_at_every_call(
    client: EndpointClient, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke(client)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOTHER")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "new")
    invoke(client)
    first, second = (request.headers for request in endpoint.requests)
    assert "AKIDEXAMPLE/" in first["authorization"]
    assert "x-amz-security-token" not in first
    assert "AKIDOTHER/" in second["authorization"]
    assert second["x-amz-security-token"] == "new"


def test_missing_credentials_are_told_by_name(
    client: EndpointClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(SettingsError) as caught:
        invoke(client)
    assert str(caught.value) == "AWS_SECRET_ACCESS_KEY is not set; Lambda sets it from the function's role."


def over_tls(
    host: str, internet: Internet, tls_remote: Remote, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> EndpointClient:
    monkeypatch.setattr(endpoint_client, "tls_context", guarded_fetch.tls_context)
    internet.host(host, "93.184.215.14", port=tls_remote.port)
    tls_remote.page("/endpoints/dogs/invocations", b"[[1]]", Content_Length="5")
    return EndpointClient(f"https://{host}", "us-east-1", clock=clock, sleep=clock.sleep)


def test_the_runtime_is_spoken_to_over_tls(
    internet: Internet, tls_remote: Remote, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(over_tls("photos.example", internet, tls_remote, clock, monkeypatch)) as client:
        assert invoke(client) == Prediction(b"[[1]]", 1)
    assert internet.connections == [("93.184.215.14", 443)]
    assert "\r\nHost: photos.example\r\n" in tls_remote.heads[0]


def test_a_runtime_with_another_ones_certificate_gets_no_request(
    internet: Internet, tls_remote: Remote, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = over_tls("dogs.example", internet, tls_remote, clock, monkeypatch)
    message = failure(client, EndpointUnavailableError)
    assert message == "Endpoint dogs cannot be reached: SSLCertVerificationError."
    assert tls_remote.heads == []
