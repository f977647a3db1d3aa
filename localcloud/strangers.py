"""Requests that a web page sends from a browser on this machine are refused.

A page from anywhere can send requests to the loopback interface. What gives it away is the Origin, the browser's
word on where the request comes from (Sec-Fetch-Site), or, when a name of the page's own leads here (DNS rebinding),
the Host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from localcloud.wire import error_response

# The names under AWS's own domains are those of virtual-hosted buckets and of function URLs; nobody else can make
# them lead to this machine.
_HOST = re.compile(
    r"(127\.0\.0\.1|\[::1\]|([a-z0-9._-]+\.)?localhost|[a-z0-9._-]+\.(amazonaws\.com(\.cn)?|on\.aws))(:\d+)?"
)


def refuse_strangers(app: WSGIApplication) -> WSGIApplication:
    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        complaint = _complaint(environ)
        if complaint is None:
            return app(environ, start_response)
        return error_response(environ, start_response, 403, "AccessDenied", complaint)

    return guarded


def _complaint(environ: WSGIEnvironment) -> str | None:
    host = environ.get("HTTP_HOST", "").lower()
    if _HOST.fullmatch(host) is None:
        return (
            f"The embedded cloud answers to 127.0.0.1, localhost and AWS's own names, not to Host {host!r}."
        )
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and origin.lower() != f"http://{host}":
        return f"The embedded cloud takes no requests from web pages; this one is from {origin!r}."
    site = environ.get("HTTP_SEC_FETCH_SITE", "none")
    if site not in ("none", "same-origin"):
        return f"The embedded cloud takes no requests from web pages; this one is {site!r}."
    return None
