"""Serves the page on this machine alone, for a limited time."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

import uvicorn

from ml.errors import KennelError
from ops.console import app
from ops.console.cloud import Cloud
from ops.console.guard import Access

PORT = 8484
LIFETIME = 8 * 3600  # seconds: a page that was forgotten holds credentials no longer than a day's work


def serve(cloud: Cloud, *, port: int | None, seconds: int, ready: Callable[[str], None]) -> None:
    """Serve until the time is over or Ctrl-C; `ready` gets the address to open.

    Raises:
        KennelError: the port is taken, or a number is none that is possible.
    """
    if not 1 <= seconds <= 7 * 24 * 3600:
        raise KennelError("--for is a number of seconds from 1 to 604800.", seconds, "Correct --for.")
    with _listening(port) as listener:
        access = Access(listener.getsockname()[1])
        server = uvicorn.Server(
            uvicorn.Config(
                app.make(cloud, access), lifespan="off", ws="none", log_level="warning", access_log=False,
                server_header=False, timeout_graceful_shutdown=2,
            )
        )  # fmt: skip

        def end() -> None:
            server.should_exit = True

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        ready(access.url)
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn has ended in order, and raises it once more
            server.run(sockets=[listener])
        timer.cancel()


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
