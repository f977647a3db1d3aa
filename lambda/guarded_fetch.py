"""Fetch an image from a URL that a stranger chose, without being led anywhere but the public internet.

The host is resolved once, every address it has is judged, and the connection goes to a judged address, with
the host's name only in the TLS handshake and the Host header: a second answer from DNS (rebinding) has
nothing to change. Every redirect is judged anew. No proxies, no cookies, no credentials, no compressed
bodies. One deadline covers name resolution, connecting, TLS and every single read, so that a slow drip of
bytes ends as surely as a dead host.

Standard library only, and every address range is written out below: `ipaddress.is_global` differs between
Python releases.
"""

from __future__ import annotations

import functools
import http.client
import io
import ipaddress
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urljoin

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL_LENGTH = 8192  # characters; presigned S3 URLs with a session token reach about 2,000
IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp")
TYPE_ALIASES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
UNTYPED = ("", "application/octet-stream", "binary/octet-stream")  # the last is S3's default
CHUNK = 64 * 1024  # bytes

# IANA's special-purpose registry for IPv4, plus multicast and the reserved class E. The metadata address
# 169.254.169.254 is link-local.
_FORBIDDEN_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",  # IETF protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relay
        "192.168.0.0/16",
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
# Only 2000::/3 is handed out as global unicast. Outside it, and so refused: loopback, unspecified,
# IPv4-mapped and -compatible, NAT64 (64:ff9b::/96, 64:ff9b:1::/48), unique local (fd00:ec2::254 included),
# link-local, site-local, multicast. A NAT64 form of a public address is refused too: nothing here needs it.
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_FORBIDDEN_V6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # IETF protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # the former 6bone
        "3fff::/20",  # documentation
    )
)

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(#.*)?"
)
_AUTHORITY = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0\\]|[\ud800-\udfff]")
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


class FetchError(Exception):
    """Why a URL was not fetched. The message never holds an address that was resolved, nor the answer's body.

    `status` is the HTTP status to give to the caller: 400 for a URL that breaks a rule, 413 and 415 for an
    answer that is too large or no image, 424 (Failed Dependency) where the remote host failed.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        self.code = code
        self.message = message
        self.status = status
        super().__init__(f"{code}: {message}")


@dataclass(frozen=True)
class FetchPolicy:
    """`allow_loopback` is for a stage on the developer's own machine: it adds loopback addresses, on any
    port, and still no private ones."""

    allow_http: bool = False
    allow_loopback: bool = False
    max_bytes: int = 5 * 1024 * 1024
    max_redirects: int = 3
    connect_seconds: float = 3.0  # for one address
    total_seconds: float = 10.0  # for everything, redirects included
    content_types: tuple[str, ...] = IMAGE_TYPES


class Fetched(NamedTuple):
    data: bytes
    content_type: str


class _Target(NamedTuple):
    scheme: str
    host: str  # lower case; an IPv6 address without brackets
    port: int
    path: str  # with the query

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _default_port(self.scheme) else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host_header}{self.path}"


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self.total = seconds
        self.end = time.monotonic() + seconds

    def remaining(self, at_most: float | None = None) -> float:
        left = self.end - time.monotonic()
        if left <= 0:
            raise FetchError("timeout", f"The image did not arrive within {self.total:g} s.", 424)
        return left if at_most is None else min(left, at_most)


def fetch(url: str, policy: FetchPolicy) -> Fetched:
    """The image behind the URL; raises FetchError."""
    deadline = _Deadline(policy.total_seconds)
    for _ in range(policy.max_redirects + 1):
        target = _parse(url, policy)
        addresses = _resolve(target, policy, deadline)
        with _connect(target, addresses, policy, deadline) as connection:
            answer = _exchange(connection, target, policy, deadline)
        if isinstance(answer, Fetched):
            return answer
        try:
            url = urljoin(target.url, answer)
        except ValueError:
            raise FetchError("invalid_url", "The host redirects to what is no URL.") from None
        if target.scheme == "https" and not url.lower().startswith("https:"):
            raise FetchError("forbidden_redirect", "The host redirects from https to another scheme.")
        if not addresses[0].is_loopback:
            # The internet may not send us to the services of this machine.
            policy = replace(policy, allow_loopback=False)
    raise FetchError("too_many_redirects", f"The host redirects more than {policy.max_redirects} times.")


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _parse(url: str, policy: FetchPolicy) -> _Target:
    if len(url) > MAX_URL_LENGTH:
        raise FetchError("invalid_url", f"A URL may have at most {MAX_URL_LENGTH} characters.")
    if _UNSAFE.search(url):
        raise FetchError(
            "invalid_url", "Spaces, control characters and backslashes in a URL must be percent-encoded."
        )
    matched = _URL.fullmatch(url)
    if matched is None:
        raise FetchError("invalid_url", "The URL must be absolute: https://host/path.")
    scheme = matched["scheme"].lower()
    if scheme != "https" and not (scheme == "http" and policy.allow_http):
        schemes = "http and https" if policy.allow_http else "https"
        raise FetchError("forbidden_scheme", f"Only {schemes} URLs are fetched.")
    if "@" in matched["authority"]:
        raise FetchError("invalid_url", "The URL may not hold a user name or password.")
    authority = _AUTHORITY.fullmatch(matched["authority"])
    if authority is None:
        raise FetchError(
            "invalid_url",
            "The host must be a name in ASCII (xn--… for others) or an address without a zone.",
        )
    host = _host(authority["v6"], authority["name"])
    port = int(authority["port"]) if authority["port"] else _default_port(scheme)
    if not (port in (80, 443) or (policy.allow_loopback and 0 < port < 65536)):
        raise FetchError("forbidden_port", "Only the ports 80 and 443 are fetched from.")
    path = quote((matched["path"] or "/") + (matched["query"] or ""), safe=_PRINTABLE)
    return _Target(scheme, host, port, path)


def _host(v6: str | None, name: str | None) -> str:
    """The host in its one canonical spelling. Every other spelling of an IPv4 address (127.1, 0x7f000001,
    017700000001) is refused, because resolvers and libraries understand them differently."""
    if v6 is not None:
        try:
            return str(ipaddress.IPv6Address(v6))
        except ValueError:
            raise FetchError("invalid_url", "The host is not a valid IPv6 address.") from None
    host = (name or "").lower()
    labels = host.split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise FetchError("invalid_url", "IPv4 addresses are written as four decimal numbers.") from None
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise FetchError("invalid_url", "The host must be a valid name, without a trailing dot.")
    return host


def _resolve(target: _Target, policy: FetchPolicy, deadline: _Deadline) -> list[Address]:
    """All addresses of the host, every one of them allowed."""
    try:
        addresses = [ipaddress.ip_address(target.host)]
    except ValueError:
        addresses = _lookup(target, deadline)
    if not all(_is_allowed(address, policy) for address in addresses):
        raise FetchError("forbidden_address", "The host has an address that is not on the public internet.")
    if target.port not in (80, 443) and not all(address.is_loopback for address in addresses):
        raise FetchError("forbidden_port", "Only the ports 80 and 443 are fetched from.")
    return addresses


def _lookup(target: _Target, deadline: _Deadline) -> list[Address]:
    # getaddrinfo takes no timeout, and its own may be longer than ours: it is left behind in a daemon thread.
    found: list[Address] = []

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            found.extend(ipaddress.ip_address(str(answer[4][0])) for answer in answers)
        except (OSError, UnicodeError, ValueError):
            found.clear()

    thread = threading.Thread(target=look_up, name="guarded-fetch-dns", daemon=True)
    thread.start()
    thread.join(deadline.remaining())
    if thread.is_alive():
        deadline.remaining()
        raise FetchError("timeout", "The host's name could not be resolved in time.", 424)
    if not found:
        raise FetchError("unresolvable_host", "The host's name has no address.", 424)
    return found


def _is_allowed(address: Address, policy: FetchPolicy) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        if policy.allow_loopback and address in ipaddress.IPv4Network("127.0.0.0/8"):
            return True
        return not any(address in network for network in _FORBIDDEN_V4)
    if address.scope_id is not None:
        return False
    if policy.allow_loopback and address == ipaddress.IPv6Address("::1"):
        return True
    return address in _GLOBAL_V6 and not any(address in network for network in _FORBIDDEN_V6)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Made once: loading the certificate authorities takes tens of milliseconds."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _connect(
    target: _Target, addresses: list[Address], policy: FetchPolicy, deadline: _Deadline
) -> socket.socket:
    for address in addresses:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(deadline.remaining(policy.connect_seconds))
            connection.connect((str(address), target.port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if target.scheme == "http":
                return connection
            connection.settimeout(deadline.remaining())
            return tls_context().wrap_socket(connection, server_hostname=target.host)
        except ssl.SSLCertVerificationError:
            connection.close()
            raise FetchError("bad_certificate", "The certificate is not valid for the host.", 424) from None
        except OSError:
            connection.close()
        except BaseException:
            connection.close()
            raise
    deadline.remaining()
    raise FetchError("unreachable", "The host does not accept connections.", 424)


class _Wire(io.RawIOBase):
    """Reads under the deadline: a time limit on the socket alone begins anew with every byte."""

    def __init__(self, connection: socket.socket, deadline: _Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self._connection.settimeout(self._deadline.remaining())
        return self._connection.recv_into(buffer)


class _Socket:
    """What http.client needs of a socket. The real one is closed by `fetch`, and by nobody else."""

    def __init__(self, connection: socket.socket, deadline: _Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._connection.settimeout(self._deadline.remaining())
        self._connection.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Wire(self._connection, self._deadline), CHUNK)

    def close(self) -> None:
        pass


def _exchange(
    connection: socket.socket, target: _Target, policy: FetchPolicy, deadline: _Deadline
) -> Fetched | str:
    """The image, or the place to which the host redirects."""
    exchange = http.client.HTTPConnection(target.host, target.port)
    exchange.sock = _Socket(connection, deadline)
    headers = {
        "Host": target.host_header,
        "Accept": ", ".join(policy.content_types),
        "Accept-Encoding": "identity",
        "User-Agent": "kennel-fetch/1",
        "Connection": "close",
    }
    try:
        exchange.request("GET", target.path, headers=headers)
        with exchange.getresponse() as response:
            if response.status in (301, 302, 303, 307, 308):
                return _location(response)
            declared = _check_head(response, policy)
            return _read_image(response, declared, policy)
    except TimeoutError:
        deadline.remaining()
        raise FetchError("timeout", "The host did not answer in time.", 424) from None
    except (OSError, http.client.HTTPException, ValueError):
        deadline.remaining()
        raise FetchError("bad_response", "The host broke off, or did not speak HTTP.", 424) from None


def _location(response: http.client.HTTPResponse) -> str:
    location = response.headers.get("Location")
    if not location:
        raise FetchError("bad_response", "The host redirects without saying where to.", 424)
    # http.client reads headers as Latin-1; this gives the bytes back as they were sent.
    return quote(location, safe=_PRINTABLE + " ", encoding="latin-1")


def _check_head(response: http.client.HTTPResponse, policy: FetchPolicy) -> str:
    """The declared content type; all that can be known before the body is."""
    if response.status != 200:
        raise FetchError("bad_status", f"The host answered with status {response.status}.", 424)
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise FetchError("unsupported_encoding", "The host sends a compressed body, unasked.", 424)
    declared = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    declared = TYPE_ALIASES.get(declared, declared)
    if declared not in policy.content_types and declared not in UNTYPED:
        raise FetchError("unsupported_type", f"The URL must be of {_or(policy.content_types)}.", 415)
    if response.length is not None and response.length > policy.max_bytes:
        raise _too_large(policy)
    return declared


def _read_image(response: http.client.HTTPResponse, declared: str, policy: FetchPolicy) -> Fetched:
    body = bytearray()
    expected = response.length
    while chunk := response.read1(CHUNK):
        body += chunk
        if len(body) > policy.max_bytes:
            raise _too_large(policy)
    if expected is not None and len(body) != expected:
        raise FetchError("bad_response", "The host broke off in the middle of the image.", 424)
    data = bytes(body)
    content_type = sniff(data) if declared in UNTYPED else declared
    if content_type not in policy.content_types:
        raise FetchError("unsupported_type", f"The URL must be of {_or(policy.content_types)}.", 415)
    return Fetched(data, content_type)


def sniff(data: bytes) -> str:
    """The image type that the first bytes tell, or an empty string."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return ""


def _too_large(policy: FetchPolicy) -> FetchError:
    return FetchError("too_large", f"The image has more than {policy.max_bytes} bytes.", 413)


def _or(words: tuple[str, ...]) -> str:
    return " or ".join(words)
