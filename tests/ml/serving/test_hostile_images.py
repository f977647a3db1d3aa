"""Image files that mean harm, sent to the real server: each is a 4xx or an answer, and nothing else happens."""

from __future__ import annotations

import collections
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.ml.serving.conftest import Start
from tests.ml.serving.hostile import COUNT, File, hostile_files
from tests.ml.serving.samples import encode, photo

ATTACKERS = 2
# For each, at most 50 million pixels as RGBA, on white, and once more in the decoder.
MEMORY = 2_500_000_000  # bytes
LONGEST = 5  # seconds of processor time for one answer: on a busy machine it takes any number of others
PATIENCE = 300  # seconds


@pytest.fixture(scope="module")
def files() -> list[File]:
    return hostile_files()


def test_the_files_are_many_distinct_and_the_same_every_time(files: list[File]) -> None:
    assert len(files) == COUNT
    assert len({data for _, _, data in files}) > 0.95 * COUNT
    assert files == hostile_files()


def test_hostile_images_get_a_4xx_or_an_answer_and_leave_the_server_as_it_was(
    files: list[File], start_server: Start, model_dir: Path
) -> None:
    good = encode(photo(), "JPEG")
    # On a busy machine the largest take long: nobody is to be refused, and no worker replaced, for that here.
    patient = start_server(model_dir, KENNEL_DEADLINE_SECONDS="60", KENNEL_HANG_SECONDS="600")
    with patient as server, httpx.Client(base_url=server.url, timeout=PATIENCE) as client:

        def send(content_type: str, data: bytes) -> httpx.Response:
            return client.post("/invocations", content=data, headers={"content-type": content_type})

        def attack(file: File) -> tuple[str, int, str, float]:
            name, content_type, data = file
            started = time.monotonic()
            response = send(content_type, data)
            code = "" if response.status_code == 200 else response.json()["error"]["type"]
            return name, response.status_code, code, time.monotonic() - started

        before = send("image/jpeg", good).json()
        with ThreadPoolExecutor(ATTACKERS) as attackers:
            results = list(attackers.map(attack, files))

        assert [
            (name, status) for name, status, _, _ in results if not (status == 200 or 400 <= status < 500)
        ] == []
        slowest = sorted(zip(results, files, strict=True), key=lambda pair: pair[0][3])[-8:]
        for _, (name, content_type, data) in slowest:
            spent = server.cpu_seconds()
            send(content_type, data)
            assert server.cpu_seconds() - spent < LONGEST, name
        assert client.get("/ping").status_code == 200
        assert send("image/jpeg", good).json() == before
        assert server.events("unexpected error") == []
        assert server.peak_resident_bytes() < MEMORY
        assert server.resident_bytes() < 400_000_000

    # All ways to refuse, and to take, were met.
    codes = collections.Counter(code for _, _, code, _ in results)
    assert codes.keys() >= {
        "",
        "broken_image",
        "content_type_mismatch",
        "empty_image",
        "not_an_image",
        "too_many_pixels",
        "too_many_scans",
        "unsupported_format",
    }
    assert codes[""] < COUNT / 2
