"""The Chromium that the console's page is tested in: one of this machine's, else one that is installed for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable

from ops.paths import WORK

VARIABLE = "KENNEL_TEST_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DOWNLOADED = WORK / "browsers"
_SECONDS = 600  # for an installation


def find() -> str | None:
    """Return the path of a Chromium: the one that is named, one on the PATH, or the one installed by `ensure`."""
    if named := os.environ.get(VARIABLE):
        return named
    if found := next(filter(None, map(shutil.which, NAMES)), None):
        return found
    downloaded = DOWNLOADED.glob("chromium*/chrome-*/*")
    programs = (
        file for file in downloaded if file.name in {"chrome", "headless_shell", "chrome-headless-shell"}
    )
    return next(map(str, programs), None)


def ensure(say: Callable[[str], None]) -> None:
    """Install a Chromium where there is none: Playwright's, else the system's where root may.

    Raises nothing: without one, the tests of the page fail, and say what is missing.
    """
    if find() is not None:
        return
    say("The console's page is tested in Chromium, and there is none: installing one, once.")
    playwright = [sys.executable, "-m", "playwright", "install", "--with-deps", "--only-shell", "chromium"]
    if not _is_root():
        playwright.remove("--with-deps")
    attempts = [playwright]
    if _is_root() and shutil.which("apt-get"):
        attempts.append(["apt-get", "update", "-qq"])
        attempts.append(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"])
    for command in attempts:
        _run(command)
        if find() is not None:
            return
    say(f"None could be installed. Install one, or name it in {VARIABLE}.")


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _run(command: list[str]) -> None:
    environment = os.environ | {
        "PLAYWRIGHT_BROWSERS_PATH": str(DOWNLOADED),
        "DEBIAN_FRONTEND": "noninteractive",
    }
    try:
        subprocess.run(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return
