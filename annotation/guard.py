"""Access control: only pages of this server, opened by the person who started it."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""content security policy: the page loads nothing from elsewhere and cannot be embedded"""

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}


LOCAL = ("127.0.0.1", "localhost", "::1")
"""hosts reachable from this machine only"""


def own_names() -> set[str]:
    """Return the names of this machine in a network, lower case."""
    short = socket.gethostname().lower()
    return {short, f"{short.split('.')[0]}.local", socket.getfqdn().lower()} - {""}


class Guard:
    """Passes requests with the right host, origin and cookie to ``app``; refuses others with 400 or 403.

    The token of the first URL becomes a cookie that scripts cannot read and other sites cannot send.

    Args:
        port: port of the server, part of Host and Origin.
        token: secret; None: random.
    """

    def __init__(self, app: App, port: int, *, host: str = "127.0.0.1", token: str | None = None) -> None:
        self._app, self._port, self._host = app, port, host
        self.token = token or secrets.token_urlsafe(24)
        self.cookie = f"aotlab_{port}"  # cookies are shared by all ports of a host
        self._names = {"localhost", "127.0.0.1", "[::1]", host.lower()}
        if host not in LOCAL:
            self._names |= own_names()
        self._known: set[tuple[str, int]] = set()

    def is_known(self, peer: tuple[str, int]) -> bool:
        """Whether the connection from this address and port has shown the token."""
        return peer in self._known

    def opened(self, peer: tuple[str, int]) -> None:
        """Forget an earlier connection from the same address and port."""
        self._known.discard(peer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in ("http", "websocket"):
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        first = self._asks_for_cookie(scope)
        refusal = self._refusal(scope, headers, first=first)
        if refusal is not None:
            await _refuse(scope, receive, send, *refusal)
            return
        if scope.get("client"):
            self._known.add((scope["client"][0], scope["client"][1]))

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self._headers(set_cookie=first)]
            await send(message)

        await self._app(scope, receive, with_headers)

    def _refusal(self, scope: Scope, headers: dict[str, str], *, first: bool) -> tuple[int, str] | None:
        """Return status and message for a request to refuse; None to serve it."""
        if not self._is_ours(headers.get("host", "")):
            return 400, "wrong Host: open the address that the program printed"
        origin = headers.get("origin")
        changes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if (origin is None and changes) or (origin is not None and origin != f"http://{headers['host']}"):
            return 403, "wrong Origin: open the address that the program printed"
        if headers.get("sec-fetch-site") == "cross-site" and not first:
            return 403, "cross-site request: open the address that the program printed"
        if not first and not self._knows(headers.get("cookie", "")):
            return 403, "no access: open the address with the token that the program printed"
        return None

    def _asks_for_cookie(self, scope: Scope) -> bool:
        """Whether this is the first request of a page, with the right token."""
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return hmac.compare_digest(given.encode(), self.token.encode())

    def _knows(self, header: str) -> bool:
        try:
            morsel = SimpleCookie(header).get(self.cookie)
        except CookieError:
            return False
        return morsel is not None and hmac.compare_digest(morsel.value.encode(), self.token.encode())

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header is an address or name of this machine; other names may be rebound."""
        name, _, port = host.lower().rpartition(":")
        if port != str(self._port):
            return False
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return self._host not in LOCAL

    def _headers(self, *, set_cookie: bool) -> list[tuple[bytes, bytes]]:
        headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        if set_cookie:
            value = f"{self.cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/"
            headers.append((b"set-cookie", value.encode()))
        return headers


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, sentence: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": sentence})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    headers += [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence.encode()})
