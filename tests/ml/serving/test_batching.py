from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import TypeVar

import numpy as np
import pytest

from ml.serving.batching import ClientGoneError, Connection, Job, Pipeline
from ml.serving.errors import RequestError
from ml.serving.networks import Floats, Pixels

T = TypeVar("T")
PATIENCE = 30  # seconds, for a busy machine


class StubModel:
    """Waits for `gate` in each call; the scores of an image are its first byte."""

    def __init__(self, concurrency: int = 1, max_batch: int = 1) -> None:
        self.concurrency = concurrency
        self.max_batch = max_batch
        self.batches: list[int] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def infer(self, pixels: Pixels) -> Floats:
        self.entered.release()
        assert self.gate.wait(PATIENCE)
        self.batches.append(len(pixels))
        return pixels[:, 0, 0, :1].astype(np.float32)


def decode(data: bytes, _: str | None) -> Pixels:
    if data == b"bad":
        raise ValueError("no image")
    return np.full((2, 2, 3), data[0], np.uint8)


def job(data: bytes, seconds: float = PATIENCE, connection: Connection | None = None) -> Job:
    future = asyncio.get_running_loop().create_future()
    return Job(data, None, time.monotonic() + seconds, connection or Connection(), future)


def run(main: Coroutine[object, object, T]) -> T:
    return asyncio.run(asyncio.wait_for(main, PATIENCE))


async def entered(model: StubModel) -> None:
    await asyncio.to_thread(model.entered.acquire)


@pytest.mark.parametrize("max_batch", [1, 4])
def test_each_image_gets_its_own_scores_and_a_bad_one_its_error(max_batch: int) -> None:
    model = StubModel(concurrency=2, max_batch=max_batch)

    async def main() -> list[object]:
        pipeline = Pipeline(model, decode, 2)
        jobs = [job(bytes([number])) for number in range(20)] + [job(b"bad")]
        for each in jobs:
            pipeline.submit(each)
        answers = await asyncio.gather(*(each.future for each in jobs), return_exceptions=True)
        assert pipeline.outstanding == pipeline.waiting == 0
        pipeline.close()
        return answers

    *answers, error = run(main())
    assert [float(answer[0, 0]) for answer in answers] == list(range(20))  # type: ignore[index]
    assert isinstance(error, ValueError)


def test_inference_takes_what_waits_up_to_its_largest_batch_and_waits_for_no_more() -> None:
    model = StubModel(max_batch=4)
    model.gate.clear()

    async def main() -> None:
        pipeline = Pipeline(model, decode, 1)
        jobs = [job(bytes([number])) for number in range(7)]
        pipeline.submit(jobs[0])
        await entered(model)
        for each in jobs[1:]:
            pipeline.submit(each)
        while pipeline._decoded.qsize() < 6:
            await asyncio.sleep(0.001)
        model.gate.set()
        await asyncio.gather(*(each.future for each in jobs))
        pipeline.close()

    run(main())
    assert model.batches == [1, 4, 2]


@pytest.mark.parametrize("max_batch", [1, 4])
def test_no_work_is_done_for_those_who_left_or_whose_deadline_has_passed(max_batch: int) -> None:
    model = StubModel(max_batch=max_batch)
    model.gate.clear()
    left = Connection()

    async def main() -> list[object]:
        pipeline = Pipeline(model, decode, 1)
        jobs = [job(b"0"), job(b"1", connection=left), job(b"2", seconds=0.05), job(b"3")]
        pipeline.submit(jobs[0])
        await entered(model)
        for each in jobs[1:]:
            pipeline.submit(each)
        left.gone = True
        while time.monotonic() < jobs[2].deadline:
            await asyncio.sleep(0.01)
        model.gate.set()
        answers = await asyncio.gather(*(each.future for each in jobs), return_exceptions=True)
        pipeline.close()
        return answers

    _, gone, late, _ = run(main())
    assert isinstance(gone, ClientGoneError)
    assert isinstance(late, RequestError)
    assert (late.status_code, late.code) == (503, "too_late")
    assert sum(model.batches) == 2


def test_who_has_waited_is_refused_when_the_work_would_outlast_his_deadline() -> None:
    model = StubModel()
    model.gate.clear()

    async def main() -> list[object]:
        pipeline = Pipeline(model, decode, 1)
        pipeline._stage_seconds[0] = 2 * PATIENCE  # each, lately
        jobs = [job(b"0"), job(b"1")]
        for each in jobs:
            pipeline.submit(each)
        model.gate.set()
        answers = await asyncio.gather(*(each.future for each in jobs), return_exceptions=True)
        pipeline.close()
        return answers

    alone, late = run(main())
    assert isinstance(alone, np.ndarray)
    assert isinstance(late, RequestError)
    assert late.code == "too_late"
    assert model.batches == [1]


def test_the_wait_is_estimated_from_what_images_took() -> None:
    model = StubModel(concurrency=2)

    async def main() -> None:
        pipeline = Pipeline(model, decode, 2)
        assert pipeline.wait_seconds() == 0
        first = job(b"0")
        pipeline.submit(first)
        await first.future
        took = first.decode_seconds + first.inference_seconds
        model.gate.clear()
        jobs = [job(b"1") for _ in range(6)]
        for each in jobs:
            pipeline.submit(each)
        assert pipeline.wait_seconds() == pytest.approx(6 * took / 2)
        await entered(model)
        assert pipeline.stuck_seconds() > 0
        model.gate.set()
        await asyncio.gather(*(each.future for each in jobs))
        assert pipeline.wait_seconds() == 0
        pipeline.close()

    run(main())
