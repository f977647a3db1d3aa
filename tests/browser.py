"""A Chromium that is on this machine, driven by Playwright; tests never download one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# As root there is no sandbox to be had; the rest keeps Chromium from talking to anybody but the page.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip


def program() -> str:
    """Return the path of Chromium; without one, the test fails: what a page does is not known otherwise."""
    found = os.environ.get("KENNEL_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.fail(
            f"The page is tested in a browser, and none of {', '.join(NAMES)} is on the PATH: "
            "apt-get install chromium, or name one in KENNEL_TEST_CHROMIUM."
        )
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=list(FLAGS))
        yield browser
        browser.close()
