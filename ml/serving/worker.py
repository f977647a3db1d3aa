"""A process that serves: it loads the model, takes connections from the socket that it was given, and tells its
supervisor every second that it is well."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import hashlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Final

import uvicorn

from . import handlers, logs
from .engine import Engine
from .errors import ModelError
from .metrics import Metrics
from .place import BEAT, GRACE_SECONDS, Place
from .protocol import IDLE_SECONDS, limited
from .server import Service

M_MMAP_THRESHOLD: Final = -3  # malloc.h of glibc
PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def main(place: Place) -> int:
    """Serves until SIGTERM or SIGINT; 1 when the model cannot be served."""
    _die_with(place.supervisor)
    logs.configure()
    _give_memory_back()
    if place.processors:
        os.sched_setaffinity(0, place.processors)
    try:
        engine = handlers.model_fn(str(handlers.settings().model_dir))
    except ModelError as error:
        print(error, file=sys.stderr)
        return 1
    faulthandler.enable()  # after the libraries that have handlers of their own
    metrics = Metrics(place.number)
    about = _about(engine)
    metrics.model(**about)
    if place.replaces is not None:
        metrics.restarted(place.replaces)
    service = Service(handlers.settings(), engine, metrics)
    server = _Server(service, place, about)
    # For signals that come too early for uvicorn, and those that it raises again when it has drained.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    # The protocol has to be told: asyncio sends without delay only where it knows that it is TCP.
    with socket.socket(proto=socket.IPPROTO_TCP, fileno=place.listener) as listener, server.channel:
        server.run([listener])
    service.close()
    metrics.close()
    return 0


class _Server(uvicorn.Server):
    def __init__(self, service: Service, place: Place, about: Mapping[str, str]) -> None:
        settings = service.settings
        config = uvicorn.Config(
            service,
            http=limited(settings.read_timeout_seconds, settings.max_body_bytes, service.refuse),
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            callback_notify=self._beat,
            timeout_notify=0,
        )
        super().__init__(config)
        self._service = service
        self._place = place
        self._about = about
        self.channel = socket.socket(fileno=place.channel)
        self._ready = False

    async def _beat(self) -> None:
        """Called once a second, and for the first time when connections are taken."""
        service = self._service
        service.tell()
        # A thread that is stuck in a library is as bad as a loop that is.
        if service.pipeline.stuck_seconds() > service.settings.hang_seconds:
            return
        try:
            self.channel.send(BEAT, socket.MSG_DONTWAIT)
        except BlockingIOError:  # it has not looked for long
            pass
        except OSError:  # it is gone, on a system that does not kill its children
            os._exit(1)
        if not self._ready:
            self._ready = True
            logs.event("ready", worker=self._place.number, pid=os.getpid(), **self._about)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.draining = True
        super().handle_exit(sig, frame)


def _about(engine: Engine) -> dict[str, str]:
    manifest = handlers.settings().model_dir / "manifest.json"
    return {
        "engine": engine.kind,
        "precision": engine.manifest.precision,
        "classes": str(len(engine.classes)),
        "manifest": hashlib.sha256(manifest.read_bytes()).hexdigest()[:12],
    }


def _die_with(supervisor: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:  # it was quicker
        sys.exit(1)


def _give_memory_back() -> None:
    """Lets the memory of a large image go when the image goes.

    glibc raises its threshold for blocks of their own with each one that is freed, and keeps what comes after
    in its heap: 1.3 GB after 49-million-pixel images, 120 MB with a threshold that stays.
    """
    with contextlib.suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 4 * 2**20)


if __name__ == "__main__":
    sys.exit(main(Place.parse(sys.argv[1])))
