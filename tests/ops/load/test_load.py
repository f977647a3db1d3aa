from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace

import pytest

from ml.errors import KennelError
from ops.load import text
from ops.load.options import Demand, steady
from tests.ops.load.conftest import GOOD, Answer, Stub, wait_until

ERROR: Answer = (424, {"x-amzn-ErrorType": "ModelError"}, b'{"OriginalStatusCode": 503, "Message": "secret"}')


def test_requests_are_begun_when_they_are_due_and_are_signed(stub: Stub) -> None:
    result = stub.load(steady(40, 1, "constant"))
    assert len(result.measured.samples) == len(stub.seen) == 40
    assert [s.intended for s in sorted(result.measured.samples)] == pytest.approx([n / 40 for n in range(40)])
    assert len(result.good) == 40
    seen = stub.seen[0]
    assert seen["authorization"].startswith("AWS4-HMAC-SHA256 Credential=local/")
    assert "/us-east-1/sagemaker/aws4_request" in seen["authorization"]
    assert (seen["content-type"], seen["accept"], seen[""]) == (
        "image/jpeg", "application/json", "/endpoints/kennel/invocations",
    )  # fmt: skip
    assert set(stub.bodies) == {b"photo"}


def test_a_stall_counts_for_all_requests_that_were_due_in_it(stub: Stub) -> None:
    gate = threading.Lock()

    def answer(number: int) -> Answer:
        with gate:  # one after the other, as a server with one worker
            if number == 10:
                time.sleep(1)
            return GOOD

    stub.answer = answer
    result = stub.load(steady(50, 2, "constant"))
    assert result.corrected is not None
    p90, p99 = result.corrected.percentiles["90"], result.corrected.percentiles["99"]
    assert p90 is not None
    assert p99 is not None
    # Some 50 of 100 requests were due in the stall; one user who asks in turn would have seen one slow answer.
    assert p90 >= 700
    assert p99 >= 900
    assert sum(s.done - s.intended > 0.25 for s in result.good) >= 30


def test_one_user_does_not_see_the_stall_and_the_report_says_so(stub: Stub) -> None:
    def answer(number: int) -> Answer:
        if number == 10:
            time.sleep(1)
        return GOOD

    stub.answer = answer
    result = stub.load(Demand(2, users=1))
    assert sum(s.done - s.sent > 0.25 for s in result.good) <= 2
    assert result.corrected is None
    assert any("Closed loop" in note for note in result.notes)


def test_slow_answers_do_not_slow_an_open_loop_down(stub: Stub) -> None:
    free = threading.Event()

    def answer(_: int) -> Answer:
        free.wait(20)
        return GOOD

    stub.answer = answer
    threading.Thread(
        target=lambda: (wait_until(lambda: len(stub.seen) == 30, "30 in flight"), free.set())
    ).start()
    result = stub.load(steady(30, 1, "constant"))
    assert len(result.good) == 30


def test_users_ask_in_turn(stub: Stub) -> None:
    under_way, most, guard = 0, 0, threading.Lock()

    def answer(_: int) -> Answer:
        nonlocal under_way, most
        with guard:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.02)
        with guard:
            under_way -= 1
        return GOOD

    stub.answer = answer
    result = stub.load(Demand(1, users=3))
    assert most == 3
    assert len(result.good) == len(stub.seen) > 3


def test_failures_are_counted_by_kind_and_nothing_of_their_content_is_kept(stub: Stub) -> None:
    stub.answer = lambda number: ERROR if number % 4 == 0 else GOOD
    result = stub.load(steady(40, 1, "constant"))
    assert dict(result.faults) == {"throttled: ModelError (the model server: 503)": 10}
    assert (result.throttled, len(result.good), result.failure_share) == (10, 30, 0.25)
    assert "secret" not in "\n".join(text.lines(result)) + str(result.to_dict())


def test_nobody_who_listens_is_a_failure_of_each_request(stub: Stub) -> None:
    nowhere = replace(stub.target, url="http://127.0.0.1:9/endpoints/kennel/invocations")
    result = stub.load(steady(10, 1, "constant"), nowhere)
    assert dict(result.faults) == {"no answer: connection refused": 10}
    assert result.service is None
    assert "–" in "\n".join(text.lines(result))


def test_ctrl_c_ends_the_load_and_what_was_measured_is_reported(stub: Stub) -> None:
    def interrupt() -> None:
        wait_until(lambda: len(stub.seen) >= 10, "ten requests")
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    result = stub.load(steady(20, 60, "constant"))
    assert result.measured.interrupted
    assert 10 <= len(result.good) < 1000
    assert result.seconds < 50
    assert result.notes[0].startswith("Interrupted after")


def test_requests_in_flight_at_ctrl_c_are_neither_good_nor_failures(stub: Stub) -> None:
    free = threading.Event()

    def answer(number: int) -> Answer:
        if number >= 5:
            free.wait(20)
        return GOOD

    def interrupt() -> None:
        wait_until(lambda: len(stub.seen) >= 8, "some in flight")
        os.kill(os.getpid(), signal.SIGINT)

    stub.answer = answer
    threading.Thread(target=interrupt).start()
    result = stub.load(steady(20, 60, "constant"))
    free.set()
    assert len(result.good) == len(result.answered) == 5
    assert len(result.measured.samples) > 5
    assert result.measured.cpu_seconds > 0  # it told its end


def test_a_sender_that_breaks_down_is_an_error_with_its_last_words(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.load.driver.TIMEOUT", "no number")
    with pytest.raises(KennelError, match="runs to its end"):
        stub.load(steady(20, 1, "constant"))


def test_what_is_due_in_each_second_is_traffic(stub: Stub) -> None:
    result = stub.load(steady(10, 2, "constant"))
    assert result.traffic().interval == 1
    assert result.traffic().rates == (10, 10)
