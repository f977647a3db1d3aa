"""Who may talk to the page: it acts with the credentials of whoever started it.

Loopback alone keeps nobody out. Any web page can send requests to 127.0.0.1 (Origin tells), a name that an attacker
owns can lead there (Host tells), and every user of this machine can connect (the token tells).
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# A report is a document of its own, maybe one that a job made: it may neither read the page nor act as it.
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": CONTENT_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_SAFE = {"GET", "HEAD"}


@dataclass(frozen=True)
class Access:
    """The address that the page is served at, and the secret that opens it."""

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def hosts(self) -> tuple[str, ...]:
        return (f"127.0.0.1:{self.port}", f"localhost:{self.port}")

    @property
    def url(self) -> str:
        return f"http://{self.hosts[0]}/?token={self.token}"

    @property
    def cookie(self) -> str:
        """Its name: cookies know no ports, and several stages may be open."""
        return f"kennel-console-{self.port}"

    def is_token(self, given: str | None) -> bool:
        return given is not None and hmac.compare_digest(given.encode(), self.token.encode())


class Guard:
    """Lets through what this page's own browser tab sends, and nothing else."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                message["headers"] = headers.raw
            await send(message)

        answer = self._answer(Request(scope))
        await (answer or self._app)(scope, receive, sent)

    def _answer(self, request: Request) -> Response | None:
        """The refusal, or the way in; None for a request to let through."""
        if why := self._foreign(request.method, request.headers):
            return PlainTextResponse(f"Refused: {why}.\n", 403)
        if request.url.path == "/" and self._access.is_token(request.query_params.get("token")):
            entrance = RedirectResponse("/", 303)  # the token leaves the address bar
            entrance.set_cookie(self._access.cookie, self._access.token, httponly=True, samesite="strict")
            return entrance
        if not self._access.is_token(request.cookies.get(self._access.cookie)):
            return PlainTextResponse("Open the address that ./inv console printed, with its token.\n", 401)
        return None

    def _foreign(self, method: str, headers: Headers) -> str | None:
        if headers.get("host") not in self._access.hosts:
            return "the Host is not this page's"
        origin = headers.get("origin")
        if origin is not None and origin not in {f"http://{host}" for host in self._access.hosts}:
            return "the Origin is not this page"
        if method not in _SAFE and origin is None:
            return "it changes something and has no Origin"
        if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
            return "another site sent it"
        return None
