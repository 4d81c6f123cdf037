"""What other hosts publish, on its way into the event proxy.

It passes through Python, which sees to it that nobody speaks for others: that is a few messages a
second. What is published on this host does not come by here and stays in C.
"""

from __future__ import annotations

import zmq

from common.api.bus import BEAT, Beat
from common.bus import wire
from common.bus.events import HIGH_WATER_MARK, topic
from common.bus.security import KeyPair, admit_by_key
from common.bus.wire import WireError
from workers.backplane.admission import Refusals, speaks_for


class JoinedEvents:
    """Takes publications over tcp and hands on those that name a process of their own host.

    It belongs to one thread, which calls `hand_on` whenever `socket` has something.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        address: str,
        own: KeyPair,
        proxy_address: str,
    ) -> None:
        self.refusals = Refusals()
        self.socket = context.socket(zmq.SUB)
        self._outgoing = context.socket(zmq.PUB)
        for socket in (self.socket, self._outgoing):
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
            socket.setsockopt(zmq.RCVHWM, HIGH_WATER_MARK)
        self.socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_MESSAGE_BYTES)
        self.socket.subscribe(b"")
        admit_by_key(self.socket, own)
        self.socket.bind(address)
        self._outgoing.connect(proxy_address)

    def close(self) -> None:
        """Take nothing more."""
        self.socket.close(linger=0)
        self._outgoing.close(linger=0)

    def hand_on(self) -> None:
        """Check the next publication."""
        frames = self.socket.recv_multipart(copy=False)
        host = str(frames[0].get("User-Id"))
        parts = [frame.bytes for frame in frames]
        try:
            claimed = _claimed_names(parts)
        except WireError as error:
            self.refusals.add(host, str(error))
            return
        if all(speaks_for(host, name) for name in claimed):
            self._outgoing.send_multipart(parts)
        else:
            self.refusals.add(host, " and ".join(sorted(claimed)))


def _claimed_names(parts: list[bytes]) -> set[str]:
    """The processes that a publication says it is of. Raises `WireError`."""
    if len(parts) != 2:
        raise WireError(f"a publication has 2 frames, not {len(parts)}")
    publication = wire.decode_publication(parts[1])
    if parts[0] != topic(publication.stream):
        raise WireError(f"a publication of {publication.stream} under another topic")
    names = {publication.process}
    if publication.name == BEAT.name:
        beat = wire.decode(publication.body, Beat)
        names |= {beat.name, f"any@{beat.host}"}
    return names
