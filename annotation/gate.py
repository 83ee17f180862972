"""Limits on number and time of connections without the token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

TIMEOUT = 5.0
"""seconds before a connection without the token is closed"""
MAX_PER_ADDRESS = 16
MAX_IN_TOTAL = 64

Peer = tuple[str, int]


class Gate:
    """Connections without the token, oldest first; beyond the limits the oldest is closed.

    A new connection is never refused, as it may be the user's browser. Connections with the token are not counted.

    Args:
        is_known: whether the peer at (address, port) has shown the token.
        timeout: seconds.
    """

    def __init__(self, is_known: Callable[[Peer], bool], timeout: float = TIMEOUT) -> None:
        self._is_known, self._timeout = is_known, timeout
        self._strangers: dict[asyncio.Transport, Peer] = {}

    def opened(self, transport: asyncio.Transport) -> None:
        """Count a new connection and schedule its end."""
        name = transport.get_extra_info("peername")
        if not name:
            return
        self._forget_known()
        peer = name[0], name[1]
        same = [one for one, (address, _) in self._strangers.items() if address == peer[0]]
        if len(same) >= MAX_PER_ADDRESS:
            self._close(same[0])
        elif len(self._strangers) >= MAX_IN_TOTAL:
            self._close(next(iter(self._strangers)))
        self._strangers[transport] = peer
        asyncio.get_running_loop().call_later(self._timeout, self._expire, transport)

    def _expire(self, transport: asyncio.Transport) -> None:
        self._forget_known()
        if transport in self._strangers:
            self._close(transport)

    def _forget_known(self) -> None:
        for transport, peer in list(self._strangers.items()):
            if transport.is_closing() or self._is_known(peer):
                del self._strangers[transport]

    def _close(self, transport: asyncio.Transport) -> None:
        self._strangers.pop(transport, None)
        transport.abort()


def gated(gate: Gate, opened: Callable[[Peer], None]) -> type[Any]:
    """Return uvicorn's protocol for HTTP with a gate; ``opened`` is called with the peer of every new connection."""

    class GatedProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            name = transport.get_extra_info("peername")
            if name:
                opened((name[0], name[1]))
            gate.opened(transport)

    return GatedProtocol
