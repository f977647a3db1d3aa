"""The handlers behind HTTP, with the contract of SageMaker's containers: GET /ping and POST /invocations."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from . import handlers, logs
from .engine import Engine, cpu_count
from .errors import ModelError, RequestError
from .settings import Settings, SettingsError

MAX_READERS: Final = 128  # bodies being received; times max_body_bytes, that is the memory they can take
MAX_TRANSFORM_MB: Final = 100  # SageMaker's limit of what a transform job has under way to an instance
GRACE_SECONDS: Final = 25  # SageMaker kills 30 s after SIGTERM
M_MMAP_THRESHOLD: Final = -3  # malloc.h of glibc
CLIENT_CLOSED_REQUEST: Final = 499  # nginx's number; nobody reads it but the log


class Service:
    def __init__(self, settings: Settings, stop: Callable[[], None]) -> None:
        self.settings = settings
        self.failure: Exception | None = None
        self._stop = stop
        self._engine: Engine | None = None
        self._workers = ThreadPoolExecutor(cpu_count(), "worker")
        self._reading = 0
        self._working = 0

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/ping", self.ping, methods=["GET"]),
                Route("/invocations", self.invocations, methods=["POST"]),
                Route("/execution-parameters", self.execution_parameters, methods=["GET"]),
            ],
            middleware=[Middleware(logs.RequestLog)],
            exception_handlers={
                RequestError: _refuse,  # type: ignore[dict-item]  # Starlette has no type for this
                HTTPException: _refuse_route,  # type: ignore[dict-item]
                ClientDisconnect: _ignore_disconnect,
            },
            lifespan=self._lifespan,
        )

    async def ping(self, _: Request) -> Response:
        self._loaded()
        return JSONResponse({})

    async def execution_parameters(self, _: Request) -> Response:
        """How batch transform should ask: the next photo is there when a processor is done with one."""
        payload = -(-self.settings.max_body_bytes // 2**20)  # MB
        concurrent = min(2 * cpu_count(), self.settings.max_queue, MAX_TRANSFORM_MB // payload)
        return JSONResponse(
            {
                "MaxConcurrentTransforms": max(1, concurrent),
                "BatchStrategy": "SINGLE_RECORD",
                "MaxPayloadInMB": min(payload, MAX_TRANSFORM_MB),
            }
        )

    async def invocations(self, request: Request) -> Response:
        engine = self._loaded()
        accept = request.headers.get("accept")
        handlers.parse_accept(accept)
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise RequestError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "unsupported_content_encoding",
                "The body has to be sent as it is, without a Content-Encoding.",
            )
        body = await self._read(request)
        with self._work():
            # Threads of their own for this: fetching a URL waits for a stranger.
            data, declared = await asyncio.to_thread(
                handlers.read_image, body, request.headers.get("content-type")
            )
            answer = await asyncio.get_running_loop().run_in_executor(
                self._workers, _answer, engine, data, declared, accept
            )
        return Response(answer, media_type=handlers.JSON)

    async def _read(self, request: Request) -> bytes:
        limit = self.settings.max_body_bytes
        too_large = RequestError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "body_too_large",
            f"The body may have {limit} bytes at most. Send a smaller image.",
        )
        # h11 has made sure that the header is a number of at most 20 digits.
        if int(request.headers.get("content-length", "0")) > limit:
            raise too_large
        if self._reading >= MAX_READERS:
            raise _busy()
        body = bytearray()
        self._reading += 1
        try:
            async with asyncio.timeout(self.settings.read_timeout_seconds):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > limit:
                        raise too_large
        except TimeoutError:
            raise RequestError(
                HTTPStatus.REQUEST_TIMEOUT,
                "body_too_slow",
                f"The body has to arrive within {self.settings.read_timeout_seconds} s.",
            ) from None
        finally:
            self._reading -= 1
            request.state.body_bytes = len(body)
        return bytes(body)

    @contextlib.contextmanager
    def _work(self) -> Iterator[None]:
        if self._working >= self.settings.max_queue:
            raise _busy()
        self._working += 1
        try:
            yield
        finally:
            self._working -= 1

    def _loaded(self) -> Engine:
        if self._engine is None:
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "loading", "The model is being loaded.")
        return self._engine

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        loading = asyncio.create_task(self._load())
        yield
        loading.cancel()
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def _load(self) -> None:
        try:
            self._engine = await asyncio.to_thread(handlers.model_fn, str(self.settings.model_dir))
        except Exception as error:
            self.failure = error
            self._stop()
        else:
            logs.event("ready", engine=self._engine.kind, classes=len(self._engine.classes))


def _answer(engine: Engine, data: bytes, declared: str | None, accept: str | None) -> str:
    image = handlers.decode_image(data, declared)
    return handlers.output_fn(handlers.predict_fn(image, engine), accept)


def _busy() -> RequestError:
    return RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "busy", "Too many requests are waiting. Try again.")


async def _refuse(request: Request, error: RequestError) -> Response:
    request.state.error = error.code
    if request.url.path == "/invocations" and handlers.told_as_answer(error, request.headers.get("accept")):
        return JSONResponse(error.to_dict())
    headers = {}
    if error.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = "1"
    if error.status_code == HTTPStatus.REQUEST_TIMEOUT:
        headers["connection"] = "close"
    return JSONResponse(error.to_dict(), error.status_code, headers)


async def _refuse_route(request: Request, error: HTTPException) -> Response:
    status = HTTPStatus(error.status_code)
    message = f"{status.phrase}: there are GET /ping and POST /invocations."
    response = await _refuse(request, RequestError(status, "no_such_route", message))
    response.headers.update(error.headers or {})
    return response


async def _ignore_disconnect(request: Request, _: Exception) -> Response:
    request.state.error = "client_disconnected"
    return Response(status_code=CLIENT_CLOSED_REQUEST)


class HeaderDeadlineProtocol(H11Protocol):
    """Closes a connection that dawdles before a request is complete up to its headers.

    uvicorn's own timeout ends with the first byte that arrives; the body has a deadline in the service.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._deadline is not None:
            self._deadline.cancel()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        in_request = self.cycle is not None and not self.cycle.response_complete
        if in_request and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        elif not in_request and self._deadline is None:
            self._deadline = self.loop.call_later(self.timeout_keep_alive, self.transport.close)


def main() -> int:
    """Serves until SIGTERM or SIGINT; 1 when the model cannot be served, 2 when a setting is wrong."""
    logs.configure()
    _give_memory_back()
    try:
        settings = handlers.settings()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2

    def stop() -> None:
        server.should_exit = True

    service = Service(settings, stop)
    config = uvicorn.Config(
        service.app(),
        host=settings.host,
        port=settings.port,
        # Slower than httptools by a fraction of a millisecond, but it limits the size of headers.
        http=HeaderDeadlineProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=settings.read_timeout_seconds,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    logs.event("listening", host=settings.host, port=listener.getsockname()[1])
    # uvicorn raises the signal again when it has drained: the default handlers would make that a failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server.run([listener])
    if service.failure is None:
        return 0
    if not isinstance(service.failure, ModelError):
        raise service.failure
    print(service.failure, file=sys.stderr)
    return 1


def _give_memory_back() -> None:
    """Lets the memory of a large image go when the image goes.

    glibc raises its threshold for blocks of their own with each one that is freed, and keeps what comes after
    in its heap: 1.3 GB after 49-million-pixel images, 120 MB with a threshold that stays.
    """
    with contextlib.suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 4 * 2**20)
