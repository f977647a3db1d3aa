"""The handlers behind HTTP, with the contract of SageMaker's containers: GET /ping and POST /invocations."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from . import handlers, headers, logs, metrics
from .batching import ClientGoneError, Connection, Job, Pipeline, too_late
from .engine import Engine
from .errors import RequestError
from .handlers import Prediction
from .processors import cpu_count
from .protocol import Refusal
from .settings import ESTIMATED_SHARE, Settings

MAX_READERS: Final = 512  # bodies being received
MAX_HELD: Final = 256 * 2**20  # bytes of bodies that are received, or wait
MAX_TRANSFORM_MB: Final = 100  # SageMaker's limit of what a transform job has under way to an instance
BUSY: Final = "busy"
CLIENT_CLOSED_REQUEST: Final = 499  # nginx's number; nobody reads it but the log
ROUTES: Final = {
    "/ping": "GET",
    "/invocations": "POST",
    "/execution-parameters": "GET",
    "/metrics": "GET",
}

Scope = MutableMapping[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Response(NamedTuple):
    status: int
    body: bytes
    content_type: str = handlers.JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Exchange:
    """A request, and what the log will tell of it."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.began = time.monotonic()
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.connection: Connection = scope["state"].get("connection") or Connection()
        self.receive = receive
        self.id = headers.request_id(self.headers)
        self.error: str | None = None
        self.body_bytes = 0

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


class Service:
    """An ASGI application. It answers from the first request on: who starts it has loaded the engine."""

    def __init__(self, settings: Settings, engine: Engine, numbers: metrics.Metrics) -> None:
        self.settings = settings
        self.draining = False
        self._engine = engine
        self._metrics = numbers
        self._pipeline: Pipeline | None = None  # made in the event loop
        self._in_flight = 0
        self._reading = 0
        self._held = 0

    @property
    def pipeline(self) -> Pipeline:
        if self._pipeline is None:
            self._pipeline = Pipeline(self._engine, self._decode, cpu_count(), self._metrics.worked)
        return self._pipeline

    def close(self) -> None:
        if self._pipeline is not None:
            self._pipeline.close()

    def tell(self) -> None:
        """Puts what goes on into the metrics."""
        pipeline = self.pipeline
        self._metrics.state(self._in_flight, pipeline.waiting, pipeline.wait_seconds())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive)
        invocation = exchange.path == "/invocations"
        self._in_flight += invocation
        try:
            response = await self._respond(exchange)
        finally:
            self._in_flight -= invocation
        self._tell(exchange, response)
        if response.status != CLIENT_CLOSED_REQUEST:
            await _send(exchange, response, send)

    def refuse(self, scope: Scope) -> Refusal | None:
        """The answer to a request that is not let in; what else may be wrong with it is not looked at."""
        if scope["path"] != "/invocations" or scope["method"] != "POST":
            return None
        try:
            self._admit(headers.deadline(dict(scope["headers"]), self.settings.deadline_seconds))
        except RequestError as error:
            if error.code != BUSY:
                return None
            exchange = Exchange(scope, _nothing)
            response = _refused(exchange, error)
            self._tell(exchange, response)
            return Refusal(response.status, _fields(exchange, response), response.body)
        return None

    def _tell(self, exchange: Exchange, response: Response) -> None:
        seconds = time.monotonic() - exchange.began
        if exchange.path == "/invocations":
            self._metrics.answered(response.status, exchange.error, seconds)
        elif response.status == HTTPStatus.OK:  # SageMaker pings every few seconds
            return
        logs.request(
            request_id=exchange.id,
            method=exchange.method,
            path=exchange.path[:256],
            status=response.status,
            error=exchange.error,
            body_bytes=exchange.body_bytes,
            milliseconds=round(1000 * seconds, 1),
        )

    async def _respond(self, exchange: Exchange) -> Response:
        try:
            if ROUTES.get(exchange.path) != exchange.method:
                return _no_such_route(exchange)
            if exchange.path == "/invocations":
                return await self._invocations(exchange)
            if exchange.path == "/ping":
                return self._ping()
            if exchange.path == "/metrics":
                self.tell()
                return Response(200, await asyncio.to_thread(self._metrics.text), metrics.CONTENT_TYPE)
            return self._execution_parameters()
        except RequestError as error:
            return _refused(exchange, error)
        except ClientGoneError:
            exchange.error = "client_disconnected"
            return Response(CLIENT_CLOSED_REQUEST, b"")
        except Exception:
            fields = {"request_id": exchange.id}
            logs.logger.exception("unexpected error", extra={"fields": fields})
            text = "The server failed; its log tells why, under the id in the x-request-id header."
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            return _refused(exchange, RequestError(status, "internal", text))

    def _ping(self) -> Response:
        if self.draining:
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "draining", "The server is being stopped.")
        return Response(200, b"{}")

    def _execution_parameters(self) -> Response:
        """How batch transform should ask: the next photo is there when a processor is done with one."""
        payload = -(-self.settings.max_body_bytes // 2**20)  # MB
        concurrent = min(2 * cpu_count(), self.settings.max_queue, MAX_TRANSFORM_MB // payload)
        parameters = {
            "MaxConcurrentTransforms": max(1, concurrent),
            "BatchStrategy": "SINGLE_RECORD",
            "MaxPayloadInMB": min(payload, MAX_TRANSFORM_MB),
        }
        return Response(200, json.dumps(parameters).encode())

    async def _invocations(self, exchange: Exchange) -> Response:
        accept = exchange.header(b"accept")
        handlers.parse_accept(accept)
        if exchange.headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise RequestError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "unsupported_content_encoding",
                "The body has to be sent as it is, without a Content-Encoding.",
            )
        seconds = headers.deadline(exchange.headers, self.settings.deadline_seconds)
        # Before the body is read, and again when it has come, as have others meanwhile.
        self._admit(seconds)
        deadline = exchange.began + seconds
        try:
            body = await self._read(exchange)
            kind = exchange.header(b"content-type")
            if kind is not None and kind.lower().startswith(handlers.JSON):
                # A thread of its own: fetching a URL waits for a stranger.
                data, declared = await asyncio.to_thread(handlers.read_image, body, kind)
            else:
                data, declared = handlers.read_image(body, kind)
            self._admit(deadline - time.monotonic())
            future = asyncio.get_running_loop().create_future()
            self.pipeline.submit(Job(data, declared, deadline, exchange.connection, future))
            logits = await future
        finally:
            self._held -= exchange.body_bytes
        answer = handlers.output_fn(Prediction(logits, self._engine.classes), accept)
        return Response(200, answer.encode())

    def _admit(self, seconds: float) -> None:
        """Raises RequestError where an answer within `seconds` is not to be expected."""
        wait = self.pipeline.wait_seconds()
        wait += self.pipeline.work_seconds() if wait else 0  # who comes alone is let in, whatever it may take
        if (
            self.pipeline.waiting >= self.settings.max_queue
            or self._held > MAX_HELD
            or wait > ESTIMATED_SHARE * seconds > 0
        ):
            raise _busy(wait)
        if seconds <= 0:
            raise too_late()

    async def _read(self, exchange: Exchange) -> bytes:
        limit = self.settings.max_body_bytes
        too_large = RequestError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "body_too_large",
            f"The body may have {limit} bytes at most. Send a smaller image.",
        )
        # The parser has made sure that it is a number.
        if int(exchange.headers.get(b"content-length", b"0")) > limit:
            raise too_large
        if self._reading >= MAX_READERS:
            raise _busy(0)
        body = bytearray()
        self._reading += 1
        try:
            async with asyncio.timeout(self.settings.read_timeout_seconds):
                more = True
                while more:
                    message = await exchange.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGoneError
                    body += message["body"]
                    more = message["more_body"]
                    exchange.body_bytes += len(message["body"])
                    self._held += len(message["body"])
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
        return bytes(body)

    def _decode(self, data: bytes, declared: str | None) -> Any:
        preprocessing = self._engine.preprocessing
        return preprocessing.pixels(handlers.decode_image(data, declared, preprocessing.decoded_side))


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _fields(exchange: Exchange, response: Response) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", response.content_type.encode()),
        (b"content-length", b"%d" % len(response.body)),
        (b"x-request-id", exchange.id.encode()),
        *response.headers,
    ]


async def _send(exchange: Exchange, response: Response, send: Send) -> None:
    fields = _fields(exchange, response)
    await send({"type": "http.response.start", "status": response.status, "headers": fields})
    await send({"type": "http.response.body", "body": response.body, "more_body": False})


def _busy(wait: float) -> RequestError:
    return RequestError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        BUSY,
        "Too many requests are waiting. Try again.",
        retry_seconds=max(1, math.ceil(wait)),
    )


def _refused(exchange: Exchange, error: RequestError) -> Response:
    exchange.error = error.code
    body = json.dumps(error.to_dict()).encode()
    if exchange.path == "/invocations" and handlers.told_as_answer(error, exchange.header(b"accept")):
        return Response(200, body)
    extra: tuple[tuple[bytes, bytes], ...] = ()
    if error.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        extra = ((b"retry-after", b"%d" % error.retry_seconds),)
    if error.status_code == HTTPStatus.REQUEST_TIMEOUT:
        extra = ((b"connection", b"close"),)
    return Response(error.status_code, body, headers=extra)


def _no_such_route(exchange: Exchange) -> Response:
    allowed = ROUTES.get(exchange.path)
    status = HTTPStatus.NOT_FOUND if allowed is None else HTTPStatus.METHOD_NOT_ALLOWED
    known = ", ".join(f"{method} {path}" for path, method in ROUTES.items())
    response = _refused(
        exchange, RequestError(status, "no_such_route", f"{status.phrase}: there are {known}.")
    )
    return response if allowed is None else response._replace(headers=((b"allow", allowed.encode()),))
