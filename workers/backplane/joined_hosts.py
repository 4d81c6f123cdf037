"""Processes of other hosts on the request switch.

A ROUTER takes a name from whoever connects with it, before anything can be checked. So here names
are no routing ids: each frame begins with its sender's name, which the host's key must cover, and
the connection that used a name last is where its answers go.
"""

from __future__ import annotations

import zmq

from common.bus import wire
from common.bus.rpc import HIGH_WATER_MARK
from common.bus.security import KeyPair, admit_by_key
from workers.backplane.admission import Refusals, speaks_for

MAX_NAMES = 4096


class JoinedHosts:
    """A ROUTER over tcp. It belongs to the switch's thread."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str, own: KeyPair) -> None:
        self.refusals = Refusals()
        self._connections: dict[bytes, bytes] = {}
        self.socket = context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
        self.socket.setsockopt(zmq.RCVHWM, HIGH_WATER_MARK)
        self.socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_MESSAGE_BYTES)
        admit_by_key(self.socket, own)
        self.socket.bind(address)

    def __contains__(self, name: bytes) -> bool:
        return name in self._connections

    def receive(self) -> list[bytes] | None:
        """The next `[sender, target, head, body]`; null where it was refused.

        Raises `zmq.Again` where there is nothing.
        """
        frames = self.socket.recv_multipart(zmq.DONTWAIT, copy=False)
        host = str(frames[0].get("User-Id"))
        connection, *rest = (frame.bytes for frame in frames)
        sender = rest[0]
        if len(rest) != 4 or not speaks_for(host, sender.decode(errors="replace")):
            self.refusals.add(host, sender.decode(errors="replace"))
            return None
        if sender not in self._connections and len(self._connections) >= MAX_NAMES:
            self.refusals.add(host, sender.decode(errors="replace"))
            return None
        self._connections[sender] = connection
        return rest

    def send(self, target: bytes, frames: list[bytes]) -> None:
        """Send without waiting. Raises `zmq.ZMQError` as a ROUTER does."""
        try:
            self.socket.send_multipart([self._connections[target], *frames], zmq.DONTWAIT)
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                del self._connections[target]
            raise
