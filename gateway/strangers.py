"""Connections that never say who they are: Engine.IO sessions that join no namespace.

A token is shown on joining, so whoever has none could else keep as many of these as they like.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import socketio

JOIN_S = 10.0
"""How long a connection may take to join; up to twice as long may pass before it is closed."""


class Strangers:
    """Closes connections that join none of the `namespaces`; `run` it."""

    def __init__(self, server: socketio.AsyncServer, namespaces: Sequence[str]) -> None:
        self._server = server
        self._namespaces = namespaces
        self._seen: frozenset[str] = frozenset()

    async def run(self, pause_s: float = JOIN_S) -> None:
        """Look around until cancelled."""
        while True:
            await asyncio.sleep(pause_s)
            strangers = frozenset(filter(self._is_stranger, list(self._server.eio.sockets)))
            for connection_id in strangers & self._seen:
                await self._end(connection_id)
            self._seen = strangers

    async def _end(self, connection_id: str) -> None:
        connection = self._server.eio.sockets.get(connection_id)
        if connection is not None and not connection.closed:
            reason = self._server.reason.SERVER_DISCONNECT
            await connection.close(wait=False, abort=True, reason=reason)
            connection.queue.put_nowait(None)  # ends the connection's writer

    def _is_stranger(self, connection_id: str) -> bool:
        manager = self._server.manager
        return all(
            manager.sid_from_eio_sid(connection_id, name) is None for name in self._namespaces
        )
