"""Who gets in: the browser tab that was given the token, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.console_cloud import FakeCloud


@pytest.fixture
def base(address: str) -> str:
    return address.partition("/?")[0]


@pytest.fixture
def tab(address: str, base: str) -> Iterator[httpx.Client]:
    """What has opened the address once."""
    with httpx.Client(base_url=base, follow_redirects=True) as client:
        assert client.get(address).status_code == 200
        yield client


def test_the_token_opens_the_page_and_leaves_the_address(tab: httpx.Client, address: str) -> None:
    answer = httpx.get(address)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "samesite=strict" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    "path", ["/", "/console.js", "/api/endpoint", "/runs/1", "/?token=wrong", "/?token="]
)
def test_without_the_token_there_is_nothing_to_see(base: str, path: str) -> None:
    answer = httpx.get(base + path)
    assert answer.status_code == 401
    assert "Open the address that ./inv console printed" in answer.text


def test_a_name_that_was_led_here_is_refused(tab: httpx.Client) -> None:
    answer = tab.get("/api/endpoint", headers={"Host": "attacker.example:80"})
    assert (answer.status_code, answer.text) == (403, "Refused: the Host is not this page's.\n")


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Origin": "https://attacker.example"}, "the Origin is not this page"),
        ({"Origin": "null"}, "the Origin is not this page"),
        ({}, "it changes something and has no Origin"),
        ({"Origin": "{base}", "Sec-Fetch-Site": "same-site"}, "another site sent it"),
    ],
)
def test_another_page_cannot_ask(
    tab: httpx.Client, base: str, cloud: FakeCloud, headers: dict[str, str], why: str
) -> None:
    given = {name: value.format(base=base) for name, value in headers.items()}
    answer = tab.post("/api/predict", content=b"photo", headers=given)
    assert (answer.status_code, answer.text) == (403, f"Refused: {why}.\n")
    assert cloud.asked("Invoke") == []


def test_its_own_page_can(tab: httpx.Client, base: str) -> None:
    answer = tab.post("/api/predict", content=b"photo", headers={"Origin": base})
    assert answer.json()["data"]["answer"]["name"] == "Bernese_mountain_dog"


def test_every_answer_forbids_inline_scripts_frames_and_caches(tab: httpx.Client) -> None:
    for path in ("/", "/console.css", "/api/endpoint", "/nowhere"):
        headers = tab.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


def test_it_listens_on_this_machine_alone(base: str) -> None:
    assert base.startswith("http://127.0.0.1:")
