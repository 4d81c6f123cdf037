"""Where other hosts come in: who may, and what they publish, in a thread of its own.

Their requests go through the switch's thread, see `joined_hosts`.
"""

from __future__ import annotations

from dataclasses import dataclass

import zmq

from common.bus.addresses import Addresses
from common.bus.security import KeyPair
from workers.backplane.admission import Admission, Allowed
from workers.backplane.joined_events import JoinedEvents
from workers.backplane.socket_thread import SocketThread


@dataclass(frozen=True)
class Opening:
    """What it takes to let other hosts in: tcp addresses, this host's own keys, and who may."""

    addresses: Addresses
    own: KeyPair
    allowed: Allowed


class Entrance:
    """Answers for admission and checks publications. No tcp bind may come before it exists."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], opening: Opening, proxy_address: str
    ) -> None:
        self._admission = Admission(context, opening.allowed)
        self.events = JoinedEvents(context, opening.addresses.events_in, opening.own, proxy_address)
        self._thread = SocketThread(context, "entrance", self._run)

    def start(self) -> None:
        """Begin to let hosts in."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it lets hosts in."""
        return self._thread.alive

    def stop(self) -> None:
        """End the thread and close its sockets."""
        self._thread.stop()

    def _run(self, stop: zmq.Socket[bytes]) -> None:
        poller = zmq.Poller()
        for socket in (stop, self._admission.socket, self.events.socket):
            poller.register(socket, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if stop in ready:
                break
            if self._admission.socket in ready:
                self._admission.answer()
            if self.events.socket in ready:
                self.events.hand_on()
        self._admission.socket.close(linger=0)
        self.events.close()
