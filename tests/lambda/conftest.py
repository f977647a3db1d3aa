"""A fake SageMaker runtime and a web server that can be made to misbehave, both on loopback."""

from __future__ import annotations

import base64
import contextlib
import datetime
import ipaddress
import json
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import guarded_fetch
import handler
import pytest

JPEG = b"\xff\xd8\xff\xe0" + b"a photo" * 100
ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_SESSION_TOKEN": "a-token",
    "ENDPOINT_NAME": "kennel-local",
    "ENDPOINT_ALIASES": '{"p4-dog-breed-classification": "kennel-local"}',
    "STAGE": "local",
    "FETCH_ALLOW_HTTP": "true",
    "FETCH_ALLOW_LOOPBACK": "true",
    "FETCH_TIMEOUT_SECONDS": "2",
}


@dataclass
class Reply:
    status: int = 200
    body: bytes = b"[[0.1, 0.7, 0.2]]"
    headers: dict[str, str] = field(default_factory=dict)
    hold: bool = False  # until the test is over
    close_after: bool = False  # without having said so


@dataclass
class Request:
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    connection: int  # tells whether two requests came over the same one


@dataclass
class FakeEndpoint:
    """Answers with the replies in turn, then with the last one for ever."""

    url: str
    replies: list[Reply]
    requests: list[Request]

    def model_error(self, status: int, message: str) -> Reply:
        """As SageMaker wraps an error of the model's container."""
        body = {
            "ErrorCode": "CLIENT_ERROR_FROM_MODEL" if status < 500 else "INTERNAL_FAILURE_FROM_MODEL",
            "LogStreamArn": "",
            "Message": f'Received error ({status}) from primary with message "{message}"',
            "OriginalMessage": message,
            "OriginalStatusCode": status,
        }
        return Reply(424, json.dumps(body).encode(), {"x-amzn-ErrorType": "ModelError:http://internal/"})


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    over = threading.Event()
    fake = FakeEndpoint("", [Reply()], [])
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                fake.requests.append(Request(self.path, headers, body, self.client_address[1]))
                reply = fake.replies.pop(0) if len(fake.replies) > 1 else fake.replies[0]
            if reply.hold:
                over.wait()
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)
            self.close_connection |= reply.close_after

        def handle(self) -> None:
            with contextlib.suppress(OSError):  # the client has given up, as some tests want
                super().handle()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield fake
    over.set()
    server.shutdown()
    thread.join()
    server.server_close()


Behaviour = Callable[[socket.socket, threading.Event], None]


@dataclass
class Remote:
    """Serves raw bytes, or whatever a function does with the connection, by path."""

    port: int
    pages: dict[str, bytes | Behaviour]
    heads: list[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def page(self, path: str, body: bytes, status: str = "200 OK", **headers: str) -> str:
        lines = [f"HTTP/1.1 {status}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.pages[path] = "\r\n".join([*lines, "", ""]).encode() + body
        return self.url + path

    def photo(self, path: str = "/dog.jpg", body: bytes = JPEG) -> str:
        return self.page(path, body, Content_Type="image/jpeg", Content_Length=str(len(body)))

    def redirect(self, path: str, to: str) -> str:
        return self.page(path, b"", "302 Found", Location=to, Content_Length="0")


def _remote(context: ssl.SSLContext | None) -> Iterator[Remote]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.02)
    remote, over = Remote(listener.getsockname()[1], {}, []), threading.Event()

    def answer(connection: socket.socket) -> None:
        # An OSError: the client has given up, or refuses the certificate, as some tests want.
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(connection)
            connection.settimeout(10)
            if context is not None:
                connection = stack.enter_context(context.wrap_socket(connection, server_side=True))
            head = b""
            while b"\r\n\r\n" not in head:
                received = connection.recv(65536)
                if not received:
                    return
                head += received
            remote.heads.append(head.decode())
            page = remote.pages.get(head.split(b" ")[1].decode(), b"HTTP/1.1 404 Not Found\r\n\r\n")
            if isinstance(page, bytes):
                connection.sendall(page)
            else:
                page(connection, over)

    def serve() -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve)
    thread.start()
    yield remote
    over.set()
    thread.join()
    listener.close()


@pytest.fixture
def remote() -> Iterator[Remote]:
    yield from _remote(None)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for photos.example, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "photos.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("photos.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "photos.example.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def tls_remote(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(guarded_fetch, "tls_context", lambda: trusting)
    yield from _remote(context)


@dataclass
class Internet:
    """Names and addresses as a test wants them. A connection to a public address goes to a port on loopback;
    one to any other public address is refused. `connections` records all."""

    names: dict[str, list[list[str]]] = field(default_factory=dict)  # answers in turn, then the last for ever
    ports: dict[str, int] = field(default_factory=dict)  # address → port on loopback
    connections: list[tuple[str, int]] = field(default_factory=list)
    lookups: list[str] = field(default_factory=list)

    def host(self, name: str, *addresses: str, port: int | None = None) -> None:
        self.names.setdefault(name, []).append(list(addresses))
        for address in addresses:
            if port is not None:
                self.ports[address] = port


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Internet:
    internet = Internet()
    real_connect = socket.socket.connect

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[Any]:
        internet.lookups.append(host)
        answers = internet.names.get(host)
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port),
            )
            for address in addresses
        ]

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        internet.connections.append(address[:2])
        if address[0] in internet.ports:
            real_connect(self, ("127.0.0.1", internet.ports[address[0]]))
        elif ipaddress.ip_address(address[0]).is_loopback:
            real_connect(self, address)
        else:
            raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket.socket, "connect", connect)
    return internet


@dataclass
class Context:
    seconds: float = 10.0
    aws_request_id: str = "00000000-0000-0000-0000-000000000001"

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


Call = Callable[..., Any]


@pytest.fixture
def function(endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    """The handler in a new sandbox, in front of the fake endpoint: event, seconds → answer."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", endpoint.url)
    monkeypatch.setattr("endpoint_client.BACKOFF", (0.001, 0.004))
    monkeypatch.setattr(handler, "_cold_start", True)

    def call(event: object, seconds: float = 10.0) -> object:
        return handler.lambda_handler(event, Context(seconds))

    _forget_sandbox()
    yield call
    handler._client()._drop()
    _forget_sandbox()


def _forget_sandbox() -> None:
    handler._settings.cache_clear()
    handler._client.cache_clear()
    logging.getLogger("kennel").handlers.clear()


def http_event(
    body: bytes, content_type: str | None, *, query: dict[str, str] | None = None, method: str = "POST"
) -> dict[str, Any]:
    """A function URL's event as Lambda makes it."""
    text = content_type is not None and (content_type.startswith("application/json"))
    return {
        "version": "2.0",
        "rawPath": "/",
        "headers": {"host": "x.lambda-url.us-east-1.on.aws"}
        | ({} if content_type is None else {"content-type": content_type}),
        **({"queryStringParameters": query} if query else {}),
        "requestContext": {"http": {"method": method, "path": "/", "protocol": "HTTP/1.1"}},
        "body": body.decode() if text else base64.b64encode(body).decode(),
        "isBase64Encoded": not text,
    }
