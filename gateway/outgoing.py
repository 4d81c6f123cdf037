"""Everything that clients are sent without having asked, and what becomes of those who do not read.

For each client at most `MAX_STATE_EVENTS` events of state wait (or 1 MiB), the newest metrics, and
the newest `MAX_LOG_ENTRIES` log lines (see `gateway.backlog`); a client that lets more events of
state wait is disconnected. Whoever lets 64 KiB of answers wait is not read from until it has taken
them, and is disconnected after `STALL_S`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import dataclass
from typing import Any

import socketio

from gateway.backlog import Backlog
from gateway.told import Told

logger = logging.getLogger(__name__)

STALL_S = 20.0
"""How long a connection may take nothing at all. As long as Engine.IO waits for a pong."""


@dataclass(frozen=True, eq=False)
class _Recipient:
    """A client, and the Engine.IO connection that it shares with its other namespaces."""

    namespace: str
    connection: Any


class Outgoing:
    """The way to every client of a `socketio.AsyncServer`; `run` it."""

    def __init__(self, server: socketio.AsyncServer) -> None:
        self._server = server
        self._recipients: dict[str, _Recipient] = {}
        self._stuck: asyncio.Queue[Any] = asyncio.Queue()
        server.eio.create_queue = Backlog
        self._deliver = server.eio.handlers["message"]
        server.eio.on("message", self._receive)

    def add(self, client_id: str, namespace: str) -> bool:
        """Send to this client from now on; false where it is gone already."""
        if not self._server.manager.is_connected(client_id, namespace):
            return False
        connection_id = self._server.manager.eio_sid_from_sid(client_id, namespace)
        connection = self._server.eio.sockets.get(connection_id)
        if connection is None:
            return False
        self._recipients[client_id] = _Recipient(namespace, connection)
        return True

    def remove(self, client_id: str) -> None:
        """The client is gone."""
        self._recipients.pop(client_id, None)

    def send(self, client_id: str, told: Told) -> None:
        """Tell one client."""
        recipient = self._recipients.get(client_id)
        if recipient is not None:
            self._send(recipient, told)

    def send_to_all(self, told: Told) -> None:
        """Tell every client, in whichever namespace it is."""
        for recipient in self._recipients.values():
            self._send(recipient, told)

    def lose(self, client_id: str, count: int) -> None:
        """So many log lines were not sent to this client."""
        recipient = self._recipients.get(client_id)
        if recipient is not None:
            recipient.connection.queue.lose(recipient.namespace, count)

    async def run(self) -> None:
        """Disconnect those who do not read, until cancelled."""
        while True:
            connection = await self._stuck.get()
            if connection.closing or connection.closed:
                continue
            logger.warning("connection %s does not read and is ended", connection.sid)
            await connection.close(
                wait=False, abort=True, reason=self._server.reason.TRANSPORT_ERROR
            )
            connection.queue.clear()
            connection.queue.put_nowait(None)  # ends the connection's writer

    def _send(self, recipient: _Recipient, told: Told) -> None:
        connection = recipient.connection
        if connection.closing or connection.closed:
            return
        if not connection.queue.offer(told.packet(recipient.namespace)):
            self._stuck.put_nowait(connection)

    async def _receive(self, connection_id: str, data: Any) -> None:
        """Take a client's packet in, once the client has taken its answers.

        The connection is not read meanwhile, so that TCP makes the client wait.
        """
        connection = self._server.eio.sockets.get(connection_id)
        if connection is not None and not connection.queue.has_room:
            try:
                async with asyncio.timeout(STALL_S):
                    await connection.queue.room()
            except TimeoutError:
                self._stuck.put_nowait(connection)
                return
        await self._deliver(connection_id, data)


def give_up_stuck(listener: socket.socket) -> None:
    """Have the kernel end connections that take nothing for a while, with all that they hold.

    What is accepted inherits TCP_USER_TIMEOUT, tcp(7), which ends zero windows, too.
    """
    if listener.family != socket.AF_UNIX:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(STALL_S * 1000))
