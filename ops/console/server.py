"""Serves the page on this machine alone, for a limited time."""

from __future__ import annotations

import contextlib
import socket
import threading

import uvicorn

from ml.errors import KennelError
from ops.console import app
from ops.console.cloud import Cloud
from ops.console.guard import Access

PORT = 8484
LIFETIME = 8 * 3600  # seconds: a page that was forgotten holds credentials no longer than a day's work
MAX_LIFETIME = 7 * 24 * 3600


class Page:
    """A stage's page, which listens from the start and answers once it runs.

    Raises:
        KennelError: the port is taken, or none that there is.
    """

    def __init__(self, cloud: Cloud, port: int | None = None) -> None:
        self._listener = _listening(port)
        self._access = Access(self._listener.getsockname()[1])
        self._server = uvicorn.Server(
            uvicorn.Config(
                app.make(cloud, self._access), lifespan="off", ws="none", log_level="warning", access_log=False,
                server_header=False, timeout_graceful_shutdown=2,
            )
        )  # fmt: skip

    @property
    def address(self) -> str:
        """To open it; with the token."""
        return self._access.url

    def run(self, seconds: float) -> None:
        """Serve until the time is over, `end` is called, or Ctrl-C."""
        timer = threading.Timer(seconds, self.end)
        timer.daemon = True
        timer.start()
        with (
            self._listener,
            contextlib.suppress(KeyboardInterrupt),
        ):  # uvicorn, ended in order, raises it again
            self._server.run(sockets=[self._listener])
        timer.cancel()

    def end(self) -> None:
        self._server.should_exit = True


def lifetime(seconds: int | None) -> int:
    """Raises KennelError where it is none that there can be."""
    if seconds is None:
        return LIFETIME
    if not 1 <= seconds <= MAX_LIFETIME:
        raise KennelError(
            f"--for is a number of seconds from 1 to {MAX_LIFETIME}.", seconds, "Correct --for."
        )
    return seconds


def _listening(port: int | None) -> socket.socket:
    if port is not None and not 0 <= port <= 65535:
        raise KennelError("--port is a number from 0 to 65535.", port, "Correct --port.")
    for candidate in (PORT, 0) if port is None else (port,):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", candidate))
            listener.listen(64)
        except OSError as error:
            listener.close()
            if port is not None:
                raise KennelError("--port is free.", f"{port}: {error.strerror}", "Leave it out.") from error
        else:
            return listener
    raise KennelError("A port of this machine is free.", "none", "Name one with --port.")
