"""A Chromium, driven by Playwright."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from ops import browser

# As root there is no sandbox to be had; the rest keeps Chromium from talking to anybody but the page.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip


def program() -> str:
    """Return the path of Chromium; without one, the test fails: what a page does is not known otherwise."""
    found = browser.find()
    if found is None:
        pytest.fail(
            f"The page is tested in a browser, and none of {', '.join(browser.NAMES)} is on the PATH: "
            f"./inv test installs one where it can; else name one in {browser.VARIABLE}."
        )
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program(), args=list(FLAGS))
        yield launched
        launched.close()
