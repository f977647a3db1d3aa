from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from ops.console import app
from ops.console.server import Page
from tests.console_cloud import FakeCloud


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
def address(cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the cloud's page, with its token. Nothing is shared from one request to the next."""
    monkeypatch.setattr(app, "FRESH", dict.fromkeys(app.FRESH, 0.0))
    page = Page(cloud, 0)
    thread = threading.Thread(target=page.run, args=(300,))
    thread.start()
    yield page.address
    page.end()
    thread.join(30)
    assert not thread.is_alive(), "the page's server does not end"
