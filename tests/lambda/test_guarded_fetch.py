from __future__ import annotations

import socket
import threading
import time

import pytest
from guarded_fetch import Fetched, FetchError, FetchPolicy, fetch

from tests.lambda_fakes import JPEG, Internet, Remote

LOCAL = FetchPolicy(allow_http=True, allow_loopback=True, max_bytes=10_000, total_seconds=5)
HURRIED = FetchPolicy(allow_http=True, allow_loopback=True, total_seconds=0.3)
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 50
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8 "


def refusal(url: str, policy: FetchPolicy = LOCAL) -> FetchError:
    with pytest.raises(FetchError) as caught:
        fetch(url, policy)
    return caught.value


def test_a_photo_is_fetched_with_its_type(remote: Remote) -> None:
    assert fetch(remote.photo(), LOCAL) == Fetched(JPEG, "image/jpeg")


def test_the_request_names_what_it_wants_and_nothing_about_us(remote: Remote) -> None:
    fetch(remote.photo("/d%C3%B6g.jpg?size=1&x=%20"), LOCAL)
    assert remote.heads[0].splitlines() == [
        "GET /d%C3%B6g.jpg?size=1&x=%20 HTTP/1.1",
        f"Host: 127.0.0.1:{remote.port}",
        "Accept: image/jpeg, image/png, image/webp",
        "Accept-Encoding: identity",
        "User-Agent: kennel-fetch/1",
        "Connection: close",
        "",
    ]


def test_letters_beyond_ascii_in_a_path_are_percent_encoded(remote: Remote) -> None:
    remote.photo("/d%C3%B6g.jpg")
    assert fetch(f"{remote.url}/dög.jpg#photo", LOCAL).data == JPEG


def test_a_name_of_loopback_is_fetched_in_the_local_stage(remote: Remote) -> None:
    remote.photo("/dog.jpg")
    assert fetch(f"http://localhost:{remote.port}/dog.jpg", LOCAL).data == JPEG


def test_https_is_checked_against_the_name_and_not_the_address(
    internet: Internet, tls_remote: Remote
) -> None:
    internet.host("photos.example", "93.184.215.14", port=tls_remote.port)
    tls_remote.photo("/dog.jpg")
    assert fetch("https://PHOTOS.example/dog.jpg", FetchPolicy()).data == JPEG


def test_a_certificate_for_another_name_is_refused(internet: Internet, tls_remote: Remote) -> None:
    internet.host("dogs.example", "93.184.215.14", port=tls_remote.port)
    error = refusal("https://dogs.example/dog.jpg", FetchPolicy())
    assert (error.code, error.status) == ("bad_certificate", 424)
    assert tls_remote.heads == []


def test_the_next_address_is_tried_when_one_does_not_answer(internet: Internet, remote: Remote) -> None:
    internet.host("photos.example", "2606:4700::1111", "93.184.215.14")
    internet.ports["93.184.215.14"] = remote.port
    remote.photo("/dog.jpg")
    assert fetch("http://photos.example/dog.jpg", FetchPolicy(allow_http=True)).data == JPEG
    assert [address for address, _ in internet.connections] == ["2606:4700::1111", "93.184.215.14"]


def test_a_host_that_takes_no_connection_is_unreachable(internet: Internet) -> None:
    internet.host("photos.example", "93.184.215.14")
    error = refusal("https://photos.example/", FetchPolicy())
    assert (error.code, error.status) == ("unreachable", 424)


def test_a_name_without_an_address_is_told(internet: Internet) -> None:
    error = refusal("https://nowhere.example/", FetchPolicy())
    assert (error.code, error.status) == ("unresolvable_host", 424)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(status: int, remote: Remote) -> None:
    remote.photo("/b/dog.jpg")
    url = remote.page("/a/x", b"", f"{status} Moved", Location="../b/dog.jpg")
    assert fetch(url, LOCAL).data == JPEG


def test_three_redirects_are_followed_and_a_fourth_is_not(remote: Remote) -> None:
    remote.photo("/0")
    urls = [remote.redirect(f"/{number}", f"/{number - 1}") for number in range(1, 5)]
    assert fetch(urls[2], LOCAL).data == JPEG
    error = refusal(urls[3])
    assert (error.code, error.status) == ("too_many_redirects", 400)


def test_a_circle_of_redirects_ends(remote: Remote) -> None:
    error = refusal(remote.redirect("/a", "/a"))
    assert error.code == "too_many_redirects"
    assert len(remote.heads) == 4


def test_a_redirect_to_nowhere_is_told(remote: Remote) -> None:
    error = refusal(remote.page("/", b"", "302 Found"))
    assert (error.code, error.status) == ("bad_response", 424)


def test_cookies_are_not_kept_over_redirects(remote: Remote) -> None:
    remote.photo("/dog.jpg")
    url = remote.page("/", b"", "302 Found", Location="/dog.jpg", Set_Cookie="a=1")
    fetch(url, LOCAL)
    assert "cookie" not in remote.heads[1].lower()


def test_too_large_a_photo_is_refused_by_its_declared_length(remote: Remote) -> None:
    url = remote.page("/", b"", Content_Type="image/jpeg", Content_Length="10001")
    error = refusal(url)
    assert (error.code, error.status) == ("too_large", 413)


def test_too_large_a_photo_is_refused_though_no_length_is_declared(remote: Remote) -> None:
    sent: list[int] = []

    def endless(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n")
        while not over.is_set():
            sent.append(connection.send(JPEG * 100))

    remote.pages["/"] = endless
    error = refusal(remote.url + "/")
    assert (error.code, error.status) == ("too_large", 413)


def test_too_large_a_photo_is_refused_in_chunks(remote: Remote) -> None:
    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    error = refusal(remote.page("/", chunk * 100, Content_Type="image/jpeg", Transfer_Encoding="chunked"))
    assert (error.code, error.status) == ("too_large", 413)


def test_chunks_are_put_together(remote: Remote) -> None:
    body = b"4\r\n\xff\xd8\xff\xe0\r\n3\r\nabc\r\n0\r\n\r\n"
    url = remote.page("/", body, Content_Type="image/jpeg", Transfer_Encoding="chunked")
    assert fetch(url, LOCAL).data == b"\xff\xd8\xff\xe0abc"


@pytest.mark.parametrize("length", ["500", "10000"])
def test_a_photo_shorter_than_declared_is_refused(length: str, remote: Remote) -> None:
    error = refusal(remote.page("/", JPEG[:100], Content_Type="image/jpeg", Content_Length=length))
    assert (error.code, error.status) == ("bad_response", 424)


def test_of_a_photo_longer_than_declared_the_declared_part_is_taken(remote: Remote) -> None:
    url = remote.page("/", JPEG + b"x" * 20_000, Content_Type="image/jpeg", Content_Length=str(len(JPEG)))
    assert fetch(url, LOCAL).data == JPEG


def test_a_negative_length_does_not_lift_the_limit(remote: Remote) -> None:
    error = refusal(remote.page("/", b"x" * 20_000, Content_Type="image/jpeg", Content_Length="-1"))
    assert error.code == "too_large"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip", "GZIP"])
def test_a_compressed_body_is_refused(encoding: str, remote: Remote) -> None:
    error = refusal(remote.page("/", b"", Content_Type="image/jpeg", Content_Encoding=encoding))
    assert (error.code, error.status) == ("unsupported_encoding", 424)


@pytest.mark.parametrize(
    "declared", ["text/html", "image/svg+xml", "image/gif", "application/json", "nonsense"]
)
def test_what_is_not_declared_an_image_is_refused_unread(declared: str, remote: Remote) -> None:
    error = refusal(remote.page("/", JPEG, Content_Type=declared))
    assert (error.code, error.status) == ("unsupported_type", 415)
    assert error.message == "The URL must be of image/jpeg or image/png or image/webp."


@pytest.mark.parametrize(
    ("declared", "body", "expected"),
    [
        ("image/jpg", JPEG, "image/jpeg"),
        ("IMAGE/PNG; charset=binary", PNG, "image/png"),
        ("application/octet-stream", JPEG, "image/jpeg"),
        ("binary/octet-stream", PNG, "image/png"),
        ("", WEBP, "image/webp"),
    ],
)
def test_the_type_is_the_declared_one_or_found_in_the_first_bytes(
    declared: str, body: bytes, expected: str, remote: Remote
) -> None:
    assert fetch(remote.page("/", body, Content_Type=declared), LOCAL) == Fetched(body, expected)


def test_untyped_bytes_that_are_no_image_are_refused(remote: Remote) -> None:
    error = refusal(remote.page("/", b"<html>secret</html>", Content_Type="application/octet-stream"))
    assert (error.code, error.status) == ("unsupported_type", 415)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    "status", ["404 Not Found", "403 Forbidden", "500 Oops", "204 No Content", "206 Partial"]
)
def test_a_status_other_than_200_is_told_without_the_body(status: str, remote: Remote) -> None:
    error = refusal(remote.page("/", b"secret", status, Content_Type="image/jpeg"))
    assert (error.code, error.status) == ("bad_status", 424)
    assert status[:3] in error.message
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x16\x03\x01garbage",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
    ids=range(6),
)
def test_a_host_that_does_not_speak_http_is_told(garbage: bytes, remote: Remote) -> None:
    remote.pages["/"] = garbage
    error = refusal(remote.url + "/")
    assert (error.code, error.status) == ("bad_response", 424)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nX-Drip: ",
        b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n1;",
    ],
    ids=["status line", "header", "body", "chunk size"],
)
def test_a_slow_drip_ends_at_the_deadline(head: bytes, remote: Remote) -> None:
    def drip(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.wait(0.02):
            connection.sendall(b"x")

    remote.pages["/"] = drip
    started = time.monotonic()
    error = refusal(remote.url + "/", HURRIED)
    assert (error.code, error.status) == ("timeout", 424)
    assert error.message == "The image did not arrive within 0.3 s."
    assert time.monotonic() - started < 2


def test_a_silent_host_ends_at_the_deadline(remote: Remote) -> None:
    remote.pages["/"] = lambda _, over: over.wait() and None
    error = refusal(remote.url + "/", HURRIED)
    assert (error.code, error.status) == ("timeout", 424)


def test_a_silent_tls_handshake_ends_at_the_deadline(internet: Internet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        internet.host("photos.example", "93.184.215.14", port=silent.getsockname()[1])
        error = refusal("https://photos.example/", FetchPolicy(total_seconds=0.3))
    assert (error.code, error.status) == ("timeout", 424)


def test_slow_redirects_share_one_deadline(remote: Remote) -> None:
    def slow(connection: socket.socket, over: threading.Event) -> None:
        over.wait(0.15)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n")

    remote.pages["/"] = slow
    assert refusal(remote.url + "/", HURRIED).code == "timeout"


def test_a_slow_resolver_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def getaddrinfo(*_: object, **__: object) -> list[object]:
        answered.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    error = refusal("https://photos.example/", HURRIED)
    answered.set()
    assert (error.code, error.status) == ("timeout", 424)
