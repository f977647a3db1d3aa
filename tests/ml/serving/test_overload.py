"""The service without HTTP around it, with a model that takes as long as the test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import endpoint_client
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ml.serving import handlers
from ml.serving.batching import Connection, too_late
from ml.serving.errors import RequestError
from ml.serving.metrics import Metrics
from ml.serving.protocol import Refusal
from ml.serving.server import Service, _busy
from ml.serving.settings import Settings
from tests.ml.serving.samples import encode, photo
from tests.ml.serving.test_batching import PATIENCE, StubModel, entered

T = TypeVar("T")
JPEG = encode(photo(), "JPEG")


class StubEngine(StubModel):
    classes = ("a",)

    class preprocessing:
        decoded_side = None

        @staticmethod
        def pixels(_: object) -> np.ndarray[Any, Any]:
            return np.zeros((2, 2, 3), np.uint8)


class Call:
    """A POST /invocations, and what came back."""

    def __init__(self, *headers: tuple[bytes, bytes], body: bytes = JPEG) -> None:
        self.connection = Connection()
        self.body_was_read = False
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body: Any = None
        self._body = body
        self.scope = {
            "type": "http",
            "method": "POST",
            "path": "/invocations",
            "headers": [(b"content-type", b"image/jpeg"), *headers],
            "state": {"connection": self.connection},
        }

    async def receive(self) -> dict[str, Any]:
        self.body_was_read = True
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
        else:
            self.body = json.loads(message["body"])

    @property
    def code(self) -> str:
        return str(self.body["error"]["type"])


@pytest.fixture
def numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Metrics]:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(handlers, "decode_image", lambda *_: None)
    monkeypatch.setattr("prometheus_client.values.ValueClass", None)  # put back afterwards
    made = Metrics(0)
    yield made
    made.close()


def run(main: Coroutine[object, object, T]) -> T:
    return asyncio.run(asyncio.wait_for(main, PATIENCE))


def refusals(numbers: Metrics) -> dict[str, float]:
    return {
        sample.labels["reason"]: sample.value
        for family in text_string_to_metric_families(numbers.text().decode())
        for sample in family.samples
        if sample.name == "kennel_refused_total"
    }


def ask(service: Service, call: Call) -> asyncio.Task[None]:
    return asyncio.create_task(service(call.scope, call.receive, call.send))


async def queued(service: Service, count: int) -> None:
    while service.pipeline.waiting < count:
        await asyncio.sleep(0.001)


def test_a_full_queue_refuses_at_once_without_reading_the_body_and_recovers(numbers: Metrics) -> None:
    model = StubEngine()
    model.gate.clear()

    async def main() -> None:
        service = Service(Settings(max_queue=2), model, numbers)  # type: ignore[arg-type]
        taken = [Call() for _ in range(3)]
        tasks = [ask(service, taken[0])]
        await entered(model)
        tasks += [ask(service, call) for call in taken[1:]]
        await queued(service, 2)
        refused = Call()
        await ask(service, refused)
        assert (refused.status, refused.code) == (503, "busy")
        assert refused.headers[b"retry-after"] == b"1"
        assert not refused.body_was_read
        model.gate.set()
        await asyncio.gather(*tasks)
        last = Call()
        await ask(service, last)
        assert [call.status for call in (*taken, last)] == [200] * 4
        service.close()

    run(main())
    assert refusals(numbers) == {"busy": 1}


def test_who_would_wait_beyond_the_deadline_is_refused_and_told_when_to_come_again(numbers: Metrics) -> None:
    model = StubEngine()

    async def main() -> None:
        service = Service(Settings(deadline_seconds=6), model, numbers)  # type: ignore[arg-type]
        await ask(service, Call())
        service.pipeline._stage_seconds[0] = 2.0  # each, lately
        model.gate.clear()
        tasks = [ask(service, Call()) for _ in range(3)]
        await asyncio.sleep(0)
        late, hasty = Call(), Call((b"x-amzn-sagemaker-custom-attributes", b"deadline=3"))
        await entered(model)
        await entered(model)
        while service.pipeline.outstanding < 2:
            await asyncio.sleep(0.001)
        await asyncio.gather(ask(service, late), ask(service, hasty))
        for call in (late, hasty):
            assert (call.status, call.code) == (503, "busy")
            assert not call.body_was_read
            assert int(call.headers[b"retry-after"]) > 3
        model.gate.set()
        await asyncio.gather(*tasks)
        service.close()

    run(main())


def test_a_refusal_is_known_from_the_head_and_counted_and_all_else_is_let_in(numbers: Metrics) -> None:
    model = StubEngine()
    model.gate.clear()

    async def main() -> list[Refusal | None]:
        service = Service(Settings(max_queue=1), model, numbers)  # type: ignore[arg-type]
        heads = [Call((b"x-request-id", b"mine")).scope for _ in range(4)]
        heads[1]["path"] = "/ping"
        heads[2]["method"] = "GET"
        heads[3]["headers"].append((b"x-amzn-sagemaker-custom-attributes", b"deadline=soon"))
        found = [service.refuse(heads[0])]
        tasks = [ask(service, Call())]
        await entered(model)
        tasks.append(ask(service, Call()))
        await queued(service, 1)
        found += [service.refuse(head) for head in heads]
        model.gate.set()
        await asyncio.gather(*tasks)
        service.close()
        return found

    before, refused, *others = run(main())
    assert before is None
    assert refused is not None
    assert refused.status == 503
    assert json.loads(refused.body)["error"]["type"] == "busy"
    assert dict(refused.headers) == {
        b"content-type": b"application/json",
        b"content-length": b"%d" % len(refused.body),
        b"x-request-id": b"mine",
        b"retry-after": b"1",
    }
    assert others == [None] * 3
    assert refusals(numbers) == {"busy": 1}


def test_a_lone_request_is_let_in_however_slow_the_model_was(numbers: Metrics) -> None:
    async def main() -> int:
        service = Service(Settings(deadline_seconds=1), StubEngine(), numbers)  # type: ignore[arg-type]
        service.pipeline._stage_seconds[0] = 60.0
        call = Call()
        await ask(service, call)
        service.close()
        return call.status

    assert run(main()) == 200


def test_who_leaves_while_waiting_costs_no_work_and_gets_no_answer(numbers: Metrics) -> None:
    model = StubEngine()
    model.gate.clear()

    async def main() -> None:
        service = Service(Settings(), model, numbers)  # type: ignore[arg-type]
        first, leaving = Call(), Call()
        tasks = [ask(service, first)]
        await entered(model)
        tasks.append(ask(service, leaving))
        await queued(service, 1)
        leaving.connection.gone = True
        model.gate.set()
        await asyncio.gather(*tasks)
        assert (first.status, leaving.status) == (200, 0)
        service.close()

    run(main())
    assert model.batches == [1]
    assert refusals(numbers) == {"client_disconnected": 1}


def test_ping_is_503_while_the_server_drains(numbers: Metrics) -> None:
    async def main() -> tuple[int, str]:
        service = Service(Settings(), StubEngine(), numbers)  # type: ignore[arg-type]
        service.draining = True
        call = Call()
        call.scope |= {"path": "/ping", "method": "GET"}
        await ask(service, call)
        return call.status, call.code

    assert run(main()) == (503, "draining")


@pytest.mark.parametrize("error", [too_late(), _busy(0)], ids=lambda error: error.code)
def test_the_lambda_tries_again_what_is_refused_for_want_of_time(error: RequestError) -> None:
    assert error.status_code in endpoint_client.RETRIED_MODEL_STATUSES
