"""URLs that try to lead the fetcher to where it must not go. Not one may as much as open a connection."""

from __future__ import annotations

import ipaddress
import json

import pytest
from guarded_fetch import FetchError, FetchPolicy, fetch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.lambda_fakes import Call, FakeEndpoint, Internet, Remote

LOCAL_STAGE = FetchPolicy(allow_http=True, allow_loopback=True)
HTTP_ALLOWED = FetchPolicy(allow_http=True)

FORBIDDEN_NETWORKS = [
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32"),
    *("::/128", "::1/128", "::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64"),
    *("2001::/32", "2001:2::/48", "2001:10::/28", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16"),
    *("fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "fd00:ec2::254/128"),
]
TARGETS = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "100.100.100.200", "172.31.255.254"]


def _sample(network: str) -> list[str]:
    """The first, the last, and the address in the middle."""
    net = ipaddress.ip_network(network)
    return sorted({str(net[0]), str(net[net.num_addresses // 2]), str(net[-1])})


def _literal(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _wrapped(v4: str) -> list[str]:
    """The IPv4 address inside IPv6 addresses that some network would take back out."""
    number = int(ipaddress.IPv4Address(v4))
    high, low = f"{number >> 16:x}", f"{number & 0xFFFF:x}"
    return [
        f"[::ffff:{v4}]",
        f"[::ffff:{high}:{low}]",
        f"[0:0:0:0:0:ffff:{v4}]",
        f"[::{v4}]",  # IPv4-compatible
        f"[64:ff9b::{v4}]",
        f"[64:ff9b:1::{v4}]",
        f"[2002:{high}:{low}::1]",  # 6to4
        f"[2001:0:{high}:{low}::1]",  # a Teredo server
        f"[2001:0:4136:e378:8000:63bf:{high}:{low}]",  # a Teredo client
        f"[fe80::5efe:{v4}]",  # ISATAP
    ]


def _spelled(v4: str) -> list[str]:
    """The IPv4 address as inet_aton, or a browser, would also read it."""
    a, b, c, d = (int(part) for part in v4.split("."))
    number = int(ipaddress.IPv4Address(v4))
    return [
        str(number),
        hex(number),
        f"0{number:o}",
        f"0x{a:02x}.0x{b:02x}.0x{c:02x}.0x{d:02x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"00{a}.{b}.{c}.{d}",
        f"{a}.{b}.{c * 256 + d}",
        f"{a}.{b * 65536 + c * 256 + d}",
        f"{a}.{b}.{c}.0x{d:x}",
        f"{a}.{b}.{c}.{d}.",
        f"{v4}%00.example.com",
        f"%{ord(v4[0]):x}{v4[1:]}",
        "".join(chr(ord(sign) + 0xFEE0) for sign in v4),  # fullwidth digits and dots
        v4.replace(".", "。"),
        v4.replace(".", "．"),
    ]


LITERALS = [f"https://{_literal(address)}/" for network in FORBIDDEN_NETWORKS for address in _sample(network)]
WRAPPED = [f"https://{host}/" for target in TARGETS for host in _wrapped(target)]
SPELLED = [f"https://{host}/" for target in TARGETS for host in _spelled(target)]
SCHEMES = [
    *(
        "file:///etc/passwd",
        "ftp://example.com/a.jpg",
        "gopher://127.0.0.1:11211/_stats",
        "dict://127.0.0.1/",
    ),
    *("data:image/png;base64,AAAA", "javascript:alert(1)", "jar:https://example.com!/", "ldap://127.0.0.1/"),
    *(
        "unix:///var/run/docker.sock",
        "//127.0.0.1/",
        "/etc/passwd",
        "127.0.0.1/",
        "",
        " ",
        "https:",
        "https://",
    ),
    *("https:///a.jpg", "https:127.0.0.1", "https:/127.0.0.1/", "http://example.com/", "HTTP://example.com/"),
    *(
        "ws://example.com/",
        "s3://bucket/key",
        "https+unix://a/",
        "netdoc:///etc/passwd",
        "url:https://a.com/",
    ),
]
AUTHORITIES = [
    f"https://{authority}/"
    for authority in [
        *(
            "user@example.com",
            "user:secret@example.com",
            "example.com@127.0.0.1",
            "@127.0.0.1",
            ":@127.0.0.1",
        ),
        *(
            "example.com:80@127.0.0.1",
            "127.0.0.1\\@example.com",
            "example.com\\.evil.com",
            "example.com%2f@a.com",
        ),
        *("example.com:22", "example.com:8080", "example.com:0", "example.com:65536", "example.com:-1"),
        *("example.com:443:443", "example.com:", "example.com:٤٤٣", "example.com:0x50", "example.com:+443"),
        *("127.0.0.1:8080", "[::1]:8080", "[::1", "::1", "[::1]]", "[[::1]]", "[]", "[v1.fe80]", "[1.2.3.4]"),
        *("[fe80::1%25eth0]", "[fe80::1%eth0]", "[::1%25lo]", "[::1]a", "[2606:4700::1%1]", "a[::1]"),
        *("localhost.", "127.0.0.1.", "example.com.", "example..com", ".example.com", "-example.com", "."),
        *(
            "exa mple.com",
            "example.com\t",
            "example.com\r\nHost: a",
            "example.com\x00.a.com",
            "ex\u00adample.com",
        ),
        *("①②⑦.⓪.⓪.①", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "ｌｏｃａｌｈｏｓｔ", "loc\u200balhost", "\u202e127.0.0.1", "例え.jp"),
        *("faß.de", "127.0.0.1%0d%0a", "1.2.3", "1.2.3.4.5", "256.1.1.1", "0x", "0", "1", "a" * 64 + ".com"),
        *("example.com;127.0.0.1", "example.com,127.0.0.1", "{example.com}", "$HOST", "*.example.com"),
        *("a." * 127 + "com", "example.com|a", "<example.com>", "ex`ample.com", "exam^ple.com", "\ud800.com"),
    ]
]
PATHS = [
    "https://example.com/\r\nX-Evil: 1",
    "https://example.com/\x00",
    "https://example.com/a b",
    "https://example.com\\@127.0.0.1/",
    "https://example.com/\udc80",
    "\thttps://example.com/",
    "https://example.com/\n",
    "https://example.com/" + "a" * 9000,
]
HOSTILE = list(dict.fromkeys([*LITERALS, *WRAPPED, *SPELLED, *SCHEMES, *AUTHORITIES, *PATHS]))


def test_there_are_at_least_two_hundred_hostile_urls() -> None:
    assert len(HOSTILE) >= 200


@pytest.mark.parametrize("url", HOSTILE, ids=ascii)
def test_a_hostile_url_opens_no_connection(url: str, internet: Internet) -> None:
    for name in ("example.com", "localhost"):
        internet.host(name, "93.184.215.14")
    with pytest.raises(FetchError) as caught:
        fetch(url, FetchPolicy())
    assert caught.value.status == 400
    assert internet.connections == []


@pytest.mark.parametrize("url", HOSTILE, ids=ascii)
def test_the_local_stage_adds_nothing_but_plain_http_and_loopback(url: str, internet: Internet) -> None:
    for name in ("example.com", "localhost"):
        internet.host(name, "93.184.215.14")
    with pytest.raises(FetchError):
        fetch(url.replace("https://", "http://"), LOCAL_STAGE)
    for address, port in internet.connections:
        host = ipaddress.ip_address(address)
        assert host.is_loopback or (host.is_global and port in (80, 443))


@pytest.mark.parametrize("network", FORBIDDEN_NETWORKS)
def test_a_name_may_not_resolve_into_a_forbidden_network(network: str, internet: Internet) -> None:
    for number, address in enumerate(_sample(network)):
        internet.host(f"h{number}.example.com", address)
        with pytest.raises(FetchError) as caught:
            fetch(f"https://h{number}.example.com/", FetchPolicy())
        assert (caught.value.code, caught.value.status) == ("forbidden_address", 400)
        assert address not in caught.value.message
    assert internet.connections == []


def test_one_forbidden_address_among_public_ones_is_enough(internet: Internet) -> None:
    internet.host("example.com", "93.184.215.14", "10.0.0.1")
    with pytest.raises(FetchError, match="forbidden_address"):
        fetch("https://example.com/", FetchPolicy())
    assert internet.connections == []


def test_a_scoped_address_is_forbidden(internet: Internet) -> None:
    internet.host("example.com", "2606:4700::1111%eth0")
    with pytest.raises(FetchError, match="forbidden_address"):
        fetch("https://example.com/", FetchPolicy())
    assert internet.connections == []


def test_a_second_answer_from_dns_changes_nothing(internet: Internet, remote: Remote) -> None:
    internet.host("rebind.example", "93.184.215.14", port=remote.port)
    internet.host("rebind.example", "127.0.0.1")
    remote.photo("/dog.jpg")
    fetch("http://rebind.example/dog.jpg", HTTP_ALLOWED)
    assert internet.lookups == ["rebind.example"]
    assert internet.connections == [("93.184.215.14", 80)]
    assert "\r\nHost: rebind.example\r\n" in remote.heads[0]


@pytest.mark.parametrize(
    "target", [url for url in HOSTILE if url.startswith("http") and "\n" not in url], ids=ascii
)
def test_a_redirect_to_a_hostile_url_is_not_followed(target: str, internet: Internet, remote: Remote) -> None:
    internet.host("photos.example", "93.184.215.14", port=remote.port)
    internet.host("example.com", "93.184.215.15")
    location = target.encode("utf-8", "surrogatepass").decode("latin-1")
    remote.pages["/"] = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n".encode("latin-1")
    with pytest.raises(FetchError):
        fetch("http://photos.example/", HTTP_ALLOWED)
    assert {address for address, _ in internet.connections} <= {"93.184.215.14", "93.184.215.15"}


def test_the_internet_may_not_redirect_to_loopback_even_in_the_local_stage(
    internet: Internet, remote: Remote
) -> None:
    internet.host("photos.example", "93.184.215.14", port=remote.port)
    remote.redirect("/", remote.photo())
    with pytest.raises(FetchError) as caught:
        fetch("http://photos.example/", LOCAL_STAGE)
    assert caught.value.code == "forbidden_port"
    assert internet.connections == [("93.184.215.14", 80)]


def test_the_local_stage_may_not_be_redirected_to_the_metadata_service(
    internet: Internet, remote: Remote
) -> None:
    url = remote.redirect("/", "http://169.254.169.254/latest/meta-data/")
    with pytest.raises(FetchError) as caught:
        fetch(url, LOCAL_STAGE)
    assert (caught.value.code, caught.value.status) == ("forbidden_address", 400)
    assert internet.connections == [("127.0.0.1", remote.port)]


def test_https_may_not_be_left_by_a_redirect(internet: Internet, tls_remote: Remote) -> None:
    internet.host("photos.example", "93.184.215.14", port=tls_remote.port)
    tls_remote.redirect("/", "http://photos.example/dog.jpg")
    with pytest.raises(FetchError) as caught:
        fetch("https://photos.example/", HTTP_ALLOWED)
    assert (caught.value.code, caught.value.status) == ("forbidden_redirect", 400)
    assert internet.connections == [("93.184.215.14", 443)]


def test_a_proxy_in_the_environment_is_not_used(
    internet: Internet, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    fetch(remote.photo(), LOCAL_STAGE)
    assert internet.connections == [("127.0.0.1", remote.port)]


def test_the_handler_answers_every_hostile_url_with_a_4xx(
    function: Call, endpoint: FakeEndpoint, internet: Internet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FETCH_ALLOW_HTTP", "false")
    monkeypatch.setenv("FETCH_ALLOW_LOOPBACK", "false")
    internet.host("example.com", "93.184.215.14")
    for url in HOSTILE:
        for event in ({"url": url}, {"request_dict": json.dumps({"url": url})}):
            assert function(event)["statusCode"] == 400, url
    assert internet.connections == []
    assert endpoint.requests == []


PIECES = st.sampled_from(
    [
        *"/:@?#[].%\\-0x17",
        "http",
        "https",
        "://",
        "127.0.0.1",
        "::1",
        "::ffff:",
        "localhost",
        "example.com",
        "%2e",
        "。",
        "é",
    ]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(PIECES | st.text(max_size=3), max_size=8).map("".join),
    st.sampled_from(["https://", "http://", ""]),
)
def test_no_url_at_all_leads_elsewhere(internet: Internet, rest: str, scheme: str) -> None:
    internet.names["example.com"] = [["93.184.215.14"]]
    internet.names["localhost"] = [["127.0.0.1", "::1"]]
    with pytest.raises(FetchError):
        fetch(scheme + rest, FetchPolicy(allow_http=True))
    assert {address for address, _ in internet.connections} <= {"93.184.215.14"}
