"""The switch and the event proxy together, bound to their addresses."""

from __future__ import annotations

import zmq

from common.bus.addresses import Addresses
from workers.backplane.admission import Refusals
from workers.backplane.entrance import Entrance, Opening
from workers.backplane.event_proxy import EventProxy
from workers.backplane.joined_hosts import JoinedHosts
from workers.backplane.switch import Switch


class Backplane:
    """Moves every frame of a stack; holds no fact. With an `opening`, other hosts can join."""

    def __init__(self, addresses: Addresses, opening: Opening | None = None) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._entrance: Entrance | None = None
        self._refusals: list[Refusals] = []
        self._events = EventProxy(self._context, addresses.events_in, addresses.events_out)
        joined_hosts = None if opening is None else self._open(opening)
        self._switch = Switch(self._context, addresses.requests, joined_hosts)

    def _open(self, opening: Opening) -> JoinedHosts:
        inner = f"inproc://joined-events-{id(self)}"
        self._events.also_take_at(inner)
        self._entrance = Entrance(self._context, opening, inner)
        self._events.also_give_at(opening.addresses.events_out, opening.own)
        joined_hosts = JoinedHosts(self._context, opening.addresses.requests, opening.own)
        self._refusals += [joined_hosts.refusals, self._entrance.events.refusals]
        return joined_hosts

    def start(self) -> None:
        """Begin to move frames, in threads."""
        self._switch.start()
        self._events.start()
        if self._entrance is not None:
            self._entrance.start()

    @property
    def alive(self) -> bool:
        """Whether every thread runs."""
        entrance = self._entrance is None or self._entrance.alive
        return self._switch.alive and self._events.alive and entrance

    @property
    def garbage_frames(self) -> int:
        """Frames on the request switch that were dropped since they were not ours."""
        return self._switch.garbage_frames

    @property
    def refused_frames(self) -> int:
        """Frames of other hosts that were dropped since they named a process of somebody else."""
        return sum(refusals.count for refusals in self._refusals)

    @property
    def last_refused(self) -> tuple[str, ...]:
        """The last of them, for requests and for events."""
        return tuple(refusals.last for refusals in self._refusals if refusals.last)

    def stop(self) -> None:
        """End all threads and close all sockets."""
        self._switch.stop()
        self._events.stop()
        if self._entrance is not None:
            self._entrance.stop()
        self._context.term()
