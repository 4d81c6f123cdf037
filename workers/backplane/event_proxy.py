"""The event proxy: everything published goes to everyone subscribed, moved by libzmq in C."""

from __future__ import annotations

import zmq

from common.bus import wire
from common.bus.events import HIGH_WATER_MARK
from common.bus.security import KeyPair, admit_by_key
from workers.backplane.socket_thread import SocketThread


class EventProxy:
    """XSUB and XPUB joined by `zmq.proxy_steerable` in a thread that never takes the GIL."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], address_in: str, address_out: str
    ) -> None:
        self._publishers = context.socket(zmq.XSUB)
        self._subscribers = context.socket(zmq.XPUB)
        for socket, address in (
            (self._publishers, address_in),
            (self._subscribers, address_out),
        ):
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
            socket.setsockopt(zmq.RCVHWM, HIGH_WATER_MARK)
            socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_MESSAGE_BYTES)
            socket.bind(address)
        self._thread = SocketThread(context, "event-proxy", self._run, last_word=b"TERMINATE")

    def also_take_at(self, address: str) -> None:
        """Take publications at a further address; call before `start`."""
        self._publishers.bind(address)

    def also_give_at(self, address: str, own: KeyPair) -> None:
        """Give subscribers of other hosts what is published; call before `start`."""
        admit_by_key(self._subscribers, own)
        self._subscribers.bind(address)

    def start(self) -> None:
        """Begin to move events."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it moves events."""
        return self._thread.alive

    def stop(self) -> None:
        """End the thread and close its sockets."""
        self._thread.stop()

    def _run(self, control: zmq.Socket[bytes]) -> None:
        zmq.proxy_steerable(self._publishers, self._subscribers, None, control)
        for socket in (self._publishers, self._subscribers):
            socket.close(linger=0)
