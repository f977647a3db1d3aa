from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ml.errors import KennelError
from ops.load import capacity, guard, page, text
from ops.load.driver import Measured, Sample
from ops.load.options import Demand, steady
from ops.load.payloads import MAX_BYTES, bodies, photos
from ops.load.result import Result
from ops.load.target import Instances, Target

ONE = Instances("ml.c5.large", 1, 4)
TARGET = Target("endpoint", "kennel", "http://127.0.0.1", "sagemaker", "us-east-1", {})


def result(
    demand: Demand, latency: Callable[[int], float], fault: Callable[[int], str] = lambda _: "", **more: Any
) -> Result:
    count = round((demand.rate or 50) * demand.seconds)
    starts = [number * demand.seconds / count for number in range(count)]
    samples = [Sample(t, t + 1e-4, t + 1e-4, t + latency(n), fault(n)) for n, t in enumerate(starts)]
    measured = Measured(began=1.7e9, seconds=demand.seconds, samples=samples, cpu_seconds=0.01)
    for name, value in more.items():
        setattr(measured, name, value)
    return Result("dev", TARGET, demand, measured, ONE, ONE)


def test_a_terminal_of_80_columns_holds_the_report() -> None:
    found = result(
        steady(50, 20),
        lambda n: 0.01 + n % 100 / 1000,
        lambda n: "throttled: ModelError (the model server: 503)" if n % 10 == 0 else "",
        interrupted=True,
        unsent=3,
        cpu_seconds=30,
    )
    shown = list(text.lines(found))
    assert all(len(line) <= 80 for line in shown)
    told = "\n".join(shown)
    assert re.search(r"failures +5/s +100 \(10\.0%\)", told)
    assert "since due (corrected)" in told
    assert "The client did not keep up: it used 150% of a processor" in told
    assert "Interrupted after 20.0 s" in told


def begun_late(demand: Demand, seconds: Callable[[int], float], answer: Callable[[int], float]) -> Result:
    """How late the client begins each request, and how long the answer takes from then on."""
    found = result(demand, lambda _: 0.0)
    samples = [
        Sample(t, t + seconds(n), t + seconds(n), t + seconds(n) + answer(n), "")
        for n, (t, *_) in enumerate(found.measured.samples)
    ]
    return replace(found, measured=replace(found.measured, samples=samples))


@pytest.mark.parametrize(
    ("late", "answer", "kept_up"),
    [
        (lambda _: 0.013, lambda _: 0.2, True),  # less than a tenth of the p99
        (lambda n: 0.013 * (n % 50 == 0), lambda n: 0.1 * (n % 50 == 1), True),  # not with the slowest
        (lambda _: 0.009, lambda _: 0.001, True),  # a timer's grain
        (lambda _: 0.013, lambda _: 0.02, False),
        (lambda _: 0.1, lambda _: 0.5, False),
        (lambda n: 2.0 * (n % 50 == 0), lambda _: 0.02, False),  # a stall of the client
    ],
)
def test_a_late_client_is_told_of_where_its_delay_is_much_of_what_is_reported(
    late: Callable[[int], float], answer: Callable[[int], float], kept_up: bool
) -> None:
    found = begun_late(steady(10, 20), late, answer)
    assert found.kept_up is kept_up
    assert any("did not keep up" in note for note in found.notes) is not kept_up


def test_the_page_holds_its_pictures_and_needs_nothing_else() -> None:
    kinds = ["", "", "throttled: <b>ModelError</b>", "no answer: timed out"]
    html = page.render(result(steady(50, 20), lambda n: 0.01 + n % 100 / 1000, lambda n: kinds[n % 4]))
    assert html.count("<svg") == 4
    assert "&lt;b&gt;ModelError" in html
    assert "<b>ModelError" not in html
    assert not re.findall(r"(?:src|href)=\"(?!#)", html)
    HTMLParser().feed(html)


def test_a_load_without_an_answer_has_a_page_too() -> None:
    html = page.render(result(steady(5, 2), lambda _: 0.1, lambda _: "no answer: connection refused"))
    assert "No request was answered." in html


def test_a_closed_loop_has_no_corrected_latency() -> None:
    html = page.render(result(Demand(2, users=3), lambda _: 0.1))
    assert "since sent (service)" in html
    assert "since due (corrected)" not in html


def queue(rate_limit: float) -> Callable[[Demand], Result]:
    """A server that answers so many requests a second, one after the other."""

    def run(demand: Demand) -> Result:
        if demand.rate is None:
            return result(demand, lambda _: 1 / rate_limit)
        over = max(0.0, demand.rate / rate_limit - 1)
        rate = demand.rate
        return result(demand, lambda n: 1 / rate_limit + over * n / rate)

    return run


@pytest.mark.parametrize("limit", [3.0, 40.0, 333.0])
def test_the_capacity_is_found_to_a_tenth(limit: float) -> None:
    said: list[str] = []
    found = capacity.measure(queue(limit), 20, 500, said.append)
    assert 0.85 * limit <= found.requests_per_second <= 1.15 * limit
    assert found.light_ms == pytest.approx(1000 / limit, rel=0.05)
    assert not found.at_least
    assert {
        "requests_per_second",
        "instance_type",
        "p99_ms",
        "concurrency",
        "latency_ms",
        "measured_at",
    } <= set(found.to_dict())
    assert len(said) == len(found.steps) + 1
    assert all(len(line) <= 80 for line in [*said, *found.lines()])


def test_a_capacity_that_the_client_ends_is_a_least_one() -> None:
    def slow_client(demand: Demand) -> Result:
        over = max(0.0, (demand.rate or 0) / 40 - 1)
        return begun_late(demand, lambda n: over * n / (demand.rate or 1), lambda _: 1 / 40)

    found = capacity.measure(slow_client, 20, 500, lambda _: None)
    assert found.at_least
    assert "at least" in next(found.lines())


def test_a_criterion_that_nothing_holds_is_an_error() -> None:
    with pytest.raises(KennelError, match="Allow more with --p99"):
        capacity.measure(queue(4), 20, 100, lambda _: None)


def test_an_endpoint_without_answers_has_no_capacity() -> None:
    def broken(demand: Demand) -> Result:
        return result(demand, lambda _: 0.1, lambda _: "ModelError (the model server: 500)")

    with pytest.raises(KennelError, match=r"One caller alone gets answers.\nReceived: ModelError"):
        capacity.measure(broken, 10, 500, lambda _: None)


def test_instances_that_come_meanwhile_spoil_the_capacity() -> None:
    def scaled(demand: Demand) -> Result:
        found = queue(40)(demand)
        return found if demand.users else replace(found, after=Instances("ml.c5.large", 2, 4))

    with pytest.raises(KennelError, match="instances neither come nor go"):
        capacity.measure(scaled, 10, 500, lambda _: None)


def test_what_a_load_may_cost_is_told_with_the_instances_that_may_come() -> None:
    told = "\n".join(guard.estimate(ONE, "us-east-1", 60, 10, "lambda"))
    assert "1 of ml.c5.large" in told
    assert "3 more" in told
    assert "for 600 calls" in told
    assert "not known" in "\n".join(
        guard.estimate(Instances("ml.none", 1, 4), "us-east-1", 60, 10, "endpoint")
    )


def test_photos_that_cannot_be_sent_are_refused(tmp_path: Path) -> None:
    stage: Any = None
    large = tmp_path / "large.jpg"
    large.write_bytes(b"\xff\xd8\xff" + bytes(MAX_BYTES))
    with pytest.raises(KennelError, match="at most 6,291,456 bytes"):
        photos(str(large), stage)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff no photo")
    with pytest.raises(KennelError, match="A photo can be read"):
        photos(str(broken), stage)
    words = tmp_path / "words.jpg"
    words.write_bytes(b"words")
    with pytest.raises(KennelError, match="A photo is one of JPEG, PNG, WEBP"):
        photos(str(words), stage)
    with pytest.raises(KennelError, match="--image is a photo"):
        photos(str(tmp_path / "none.jpg"), stage)
    with pytest.raises(KennelError, match="photos of this machine"):
        photos("https://example.com/dog.jpg", stage)


def test_a_folder_is_sent_in_turn_and_a_function_gets_events(tmp_path: Path) -> None:
    for number in range(100):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number:03}.png")
    stage: Any = None
    found = photos(str(tmp_path), stage)
    assert len(found) == 50
    assert {body.content_type for body in bodies(found, "endpoint")} == {"image/png"}
    event = bodies(found, "lambda")[0]
    assert event.content_type == "application/json"
    assert b'"image"' in event.content
