"""Access control by host, origin and token."""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
import secrets
import socket
import stat
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

SECURITY_HEADERS = {
    # the page loads nothing from elsewhere and cannot be embedded
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}

TOKEN_FILE = ".aotlab-token"
TOKEN_PATTERN = re.compile(r"[\w-]{32}", re.ASCII)
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


def keep_token(folder: Path) -> str:
    """Return the token kept in a folder, so that open tabs stay connected after a restart; make it if it is missing.

    Only the user may read its file. If that cannot be arranged, the token is a new one, which is not kept.
    """
    path = folder / TOKEN_FILE
    token = secrets.token_urlsafe(24)
    if not hasattr(os, "getuid"):  # Windows, where modes mean nothing
        return token
    with suppress(OSError):
        if kept := _read_private(path):
            return kept
        temporary = folder / f"{TOKEN_FILE}.{secrets.token_hex(4)}"
        try:
            with os.fdopen(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
                file.write(token)
            if _read_private(temporary):  # not where all files are readable by all
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return token


def _read_private(path: Path) -> str:
    """Return the token in a file that only the user may read; empty if others may, or without a file."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="ascii", errors="replace") as file:
            state = os.fstat(file.fileno())
            text = file.read(100)
    except FileNotFoundError:
        return ""
    is_private = state.st_uid == os.getuid() and stat.S_ISREG(state.st_mode) and not state.st_mode & 0o077
    return text if is_private and TOKEN_PATTERN.fullmatch(text) else ""


class GuardMiddleware:
    """Passes requests with the right host, origin and cookie to ``app``; refuses others with 400 or 403.

    The token in the first URL becomes a cookie that scripts cannot read and other sites cannot send.
    """

    def __init__(self, app: ASGIApp, port: int, *, host: str = "127.0.0.1", token: str | None = None) -> None:
        self._app, self._host = app, host
        self.token = token or secrets.token_urlsafe(24)
        self.cookie = f"aotlab_{port}"  # cookies are shared by all ports of a host
        self._names = {*LOCAL_HOSTS, host.lower()}
        if host not in LOCAL_HOSTS:  # this machine's names in a network
            short = socket.gethostname().lower()
            self._names |= {short, f"{short.split('.')[0]}.local", socket.getfqdn().lower()} - {""}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HTTPConnection(scope)
        # the first request of a page, with the right token
        is_first = scope["type"] == "http" and scope["path"] == "/" and scope["method"] == "GET"
        is_first = is_first and self._is_token(request.query_params.get("token", ""))
        refusal = self._find_refusal(request, is_first=is_first)

        async def send_with_headers(message: Message) -> None:
            """Send a message; add the headers to the first one of a response, and the cookie for the right token."""
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                headers.setdefault("cache-control", "no-store")
                if refusal is not None:
                    headers["connection"] = "close"
                if is_first and refusal is None:
                    cookie = f"{self.cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/"
                    headers.append("set-cookie", cookie)
            await send(message)

        answer = refusal or self._app
        if refusal is not None and scope["type"] == "websocket":
            answer = WebSocketClose(1008)  # uvicorn logs an error after any other answer
        await answer(scope, receive, send_with_headers)

    def _find_refusal(self, request: HTTPConnection, *, is_first: bool) -> Response | None:
        """Return the refusal, or None to allow."""
        headers = request.headers
        remedy = "open the address that the program printed"
        if not self._is_local_host(headers.get("host", "")):
            return PlainTextResponse(f"wrong Host: {remedy}", 400)
        origin = headers.get("origin")
        is_write = request.scope["type"] == "websocket" or request.scope["method"] not in ("GET", "HEAD")
        if (origin is None and is_write) or (origin is not None and origin != f"http://{headers['host']}"):
            return PlainTextResponse(f"wrong Origin: {remedy}", 403)
        if headers.get("sec-fetch-site") == "cross-site" and not is_first:
            return PlainTextResponse(f"cross-site request: {remedy}", 403)
        if not is_first and not self._is_token(request.cookies.get(self.cookie, "")):
            return PlainTextResponse(f"no access: {remedy}", 403)
        return None

    def _is_token(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.token.encode())

    def _is_local_host(self, host: str) -> bool:
        """Return whether a Host header is an address or name of this machine; other names may be rebound.

        Its port may be another one, as with ``ssh -L``.
        """
        with suppress(ValueError):  # neither a name nor an address
            name = urlsplit(f"//{host}").hostname or ""
            return name in self._names or (self._host not in LOCAL_HOSTS and bool(ipaddress.ip_address(name)))
        return False
