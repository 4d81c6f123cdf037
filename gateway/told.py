"""One event for any number of clients, encoded once."""

from __future__ import annotations

from enum import Enum
from typing import Any

from engineio import packet as engineio_packet

from common.api import logs, metrics
from common.api.base import Event, Struct
from gateway.socket_json import dumps


class Lane(Enum):
    """What becomes of an event while its client does not read."""

    STATE = "every one counts: a client for which too many wait is disconnected"
    METRICS = "only the newest waits"
    LOGS = "the oldest are dropped and counted"


_LANES = {metrics.UPDATE.name: Lane.METRICS, logs.ENTRY.name: Lane.LOGS}


class EventPacket(engineio_packet.Packet):  # type: ignore[misc]  # the library has no types
    """An event for the clients of one namespace, ready to be sent; shared by all of them."""

    def __init__(self, lane: Lane, namespace: str, text: str) -> None:
        super().__init__(engineio_packet.MESSAGE, text)
        self.lane = lane
        self.namespace = namespace
        self.characters = len(text)


class Told:
    """An event with its payload; a packet for each namespace is made when first asked for."""

    def __init__(self, event: Event[Any], payload: Struct) -> None:
        self._event = event
        self._payload = payload
        self._text = ""
        self._packets: dict[str, EventPacket] = {}

    def packet(self, namespace: str) -> EventPacket:
        """The packet for a namespace.

        Socket.IO protocol, revision 5: `2` is an event; the namespace follows, unless it is `/`.
        """
        packet = self._packets.get(namespace)
        if packet is None:
            if not self._text:
                self._text = dumps([self._event.name, self._payload])
            address = "" if namespace == "/" else namespace + ","
            lane = _LANES.get(self._event.name, Lane.STATE)
            packet = EventPacket(lane, namespace, f"2{address}{self._text}")
            self._packets[namespace] = packet
        return packet
