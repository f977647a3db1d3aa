"""A fake SageMaker runtime and a web server that can be made to misbehave, both on loopback."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import logging
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import guarded_fetch
import handler
import pytest

from tests.lambda_fakes import Call, Context, FakeEndpoint, Internet, Remote, Reply, Request

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
            reader = stack.enter_context(connection.makefile("rb"))
            head = ""
            while not head.endswith("\r\n\r\n"):
                line = reader.readline()
                if not line:
                    return
                head += line.decode()
            # Closing with something unread would reset the connection, and the answer might get lost.
            length = re.search(r"\r\nContent-Length: (\d+)\r\n", head)
            reader.read(int(length[1]) if length else 0)
            remote.heads.append(head)
            page = remote.pages.get(head.split(" ")[1], b"HTTP/1.1 404 Not Found\r\n\r\n")
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
    if handler._client.cache_info().currsize:
        handler._client().close()
    _forget_sandbox()


def _forget_sandbox() -> None:
    handler._settings.cache_clear()
    handler._client.cache_clear()
    logging.getLogger("kennel").handlers.clear()
