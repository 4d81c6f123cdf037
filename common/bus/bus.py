"""Both connections of a process to the backplane, in one object."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import zmq
import zmq.asyncio

from common.api.base import Change, Command, Empty, Event, Struct
from common.api.bus import BEAT, PING, SNAPSHOT, TOLD, Beat, ProcessKind, StreamsTold, TakeSnapshot
from common.bus import wire
from common.bus.addresses import Addresses
from common.bus.events import Feeds, Publisher, topic
from common.bus.fleet_clock import Clock, FleetClock
from common.bus.presence import BEAT_S, DEAF_AFTER_S, Presence
from common.bus.rpc import Endpoint
from common.bus.tables import Mirror, Table
from common.bus.wire import WireError
from common.dispatch import Dispatcher, Handler
from common.errors import ProxyError

logger = logging.getLogger(__name__)

Req = TypeVar("Req", bound=Struct)
Rep = TypeVar("Rep", bound=Struct)
Payload = TypeVar("Payload", bound=Struct)
T = TypeVar("T", bound=Struct)

BACKPLANE = "backplane"
"""The one process whose name no other host can use; its clock is the fleet's."""

HELLO_PAUSE_S = 0.02
LAST_WORDS_MS = 200
REVIEWS_PER_BEAT = 4
"""So that who is gone is missed within 4 s of what was last heard of it, and not after 4.5."""

UNREACHABLE_AFTER_S = 3.0

SURE_FOR_S = 5.0
"""How long a process that could be reached is not asked again, unless the backplane was away."""

SNAPSHOT_TIMEOUT_S = 10.0

HEAR_S = 2.0
"""How long the news of a change may come after its answer until it counts as lost."""

HEAR_CHECK_S = 0.005


@dataclass(frozen=True)
class Identity:
    """Who a process is. `name` is its routing id, `epoch` grows with each start (ns since 1970)."""

    name: str
    kind: ProcessKind
    host: str
    epoch: int
    started_at: float

    @classmethod
    def new(cls, name: str, kind: ProcessKind, host: str) -> Identity:
        """An identity for a process that starts now."""
        return cls(name, kind, host, time.time_ns(), time.time())


class Superseded(Exception):
    """A newer process carries this one's name: there can be one, and it is not this."""


PresenceListener = Callable[[], None]


class Bus:
    """A process's place among the others: calls, answers, events, tables and presence.

    Set it up first (`serve`, `listen`, `table`, `mirror`), then `run` it in a task group: it
    subscribes to everything before its first beat, and asks for a snapshot only once a beat came
    in, so a snapshot never overtakes its subscription.
    """

    def __init__(
        self, identity: Identity, addresses: Addresses, wall_clock: Clock = time.time
    ) -> None:
        self.identity = identity
        self._clock = FleetClock(at_main_host=addresses.credentials is None, wall=wall_clock)
        self._context = zmq.asyncio.Context()
        self._addresses = addresses
        self._dispatcher = Dispatcher()
        self._endpoint = Endpoint(
            self._context,
            addresses.requests,
            identity.name,
            identity.epoch,
            self._dispatcher,
            self._clock,
            addresses.credentials,
        )
        self._publisher = Publisher(
            self._context,
            addresses.events_in,
            identity.name,
            identity.epoch,
            addresses.credentials,
        )
        self._feeds = Feeds(self._ask_snapshot)
        self._tasks: asyncio.TaskGroup | None = None
        self._subscription = self._context.socket(zmq.SUB)
        self._presence = Presence()
        self._presence_listeners: list[PresenceListener] = []
        self._forget_owner: list[Callable[[str], None]] = []
        self._garbage_publications = 0
        self._doubtful = asyncio.Event()
        """Set where there is a reason to ask whether this process can be reached."""
        self.serve(SNAPSHOT, self._publisher.snapshot)
        self.serve(TOLD, self._publisher.told)
        self.serve(PING, self._pong)

    def serve(self, command: Command[Req, Rep], handler: Handler[Req, Rep]) -> None:
        """Answer `command` when another process sends it here."""
        self._dispatcher.register(command, handler)

    def listen(self, event: Event[Payload], listener: Callable[[Payload], None]) -> None:
        """Hear an event that tells no fact: from now on, whoever publishes it."""
        self._feeds.listen(event, lambda body: listener(wire.decode(body, event.payload)))

    def table(self, event: Event[Change[T]], known: asyncio.Event | None = None) -> Table[T]:
        """A table that this process owns; nobody is given all of its rows before `known` is set.

        Until then mirrors keep those of an earlier start of this process.
        """
        return Table(self._publisher, event, known)

    def mirror(self, event: Event[Change[T]], *, forget_with_owner: bool = False) -> Mirror[T]:
        """A copy of everybody's tables of `event`, or only of those who are there."""
        copy: Mirror[T] = Mirror(event)
        self._feeds.follow(event.stream, copy)
        if forget_with_owner:

            def forget(owner: str) -> None:
                self._feeds.forget(owner, event.stream)
                copy.forget(owner)

            self._forget_owner.append(forget)
        return copy

    def publish(self, event: Event[Payload], payload: Payload) -> None:
        """Tell everyone who follows the event's stream."""
        self._publisher.publish(event, payload)

    async def call(
        self, target: str, command: Command[Req, Rep], request: Req, *, timeout_s: float = 5.0
    ) -> Rep:
        """Ask another process; see `Endpoint.call`."""
        return await self._endpoint.call(target, command, request, timeout_s=timeout_s)

    async def change(
        self,
        target: str,
        command: Command[Req, Rep],
        request: Req,
        news: Event[Any],
        *,
        timeout_s: float = 5.0,
    ) -> Rep:
        """As `call`, of what changes facts that the target tells by `news`: these are taken in here
        when this returns, so that whoever asks next is not answered from an older copy.

        Events may be lost, which the next beat heals: they are not waited for beyond `HEAR_S`.
        """
        reply = await self.call(target, command, request, timeout_s=timeout_s)
        with suppress(ProxyError, TimeoutError):
            async with asyncio.timeout(HEAR_S):
                told = await self.call(target, TOLD, Empty())
                await self._hear(target, news.stream, told)
        return reply

    async def _hear(self, target: str, stream: str, told: StreamsTold) -> None:
        """Return once that has been taken in. Looked for again and again: events are many, and few
        wait for one.
        """
        while True:
            if self._feeds.has_read(target, stream, told):
                return
            await asyncio.sleep(HEAR_CHECK_S)

    @property
    def garbage_frames(self) -> int:
        """Frames that were dropped since they were not ours."""
        return self._endpoint.garbage_frames + self._garbage_publications

    @property
    def gaps(self) -> int:
        """How often a followed stream skipped a number."""
        return self._feeds.gaps

    @property
    def members(self) -> list[Beat]:
        """The processes that are there, this one included once its own beat came back."""
        return self._presence.members()

    def present(self, kind: ProcessKind) -> list[str]:
        """The names of the processes of a kind that are there."""
        return self._presence.names(kind)

    def on_presence(self, listener: PresenceListener) -> None:
        """Call `listener` when a process came, was started anew or is gone."""
        self._presence_listeners.append(listener)

    async def run(self) -> None:
        """Work until cancelled."""
        self._subscription.setsockopt(zmq.LINGER, 0)
        self._subscription.setsockopt(zmq.MAXMSGSIZE, wire.MAX_MESSAGE_BYTES)
        self._subscription.setsockopt(zmq.RECONNECT_IVL, 10)
        self._subscription.setsockopt(zmq.RECONNECT_IVL_MAX, 200)
        for stream in [BEAT.stream, *self._feeds.streams]:
            self._subscription.subscribe(topic(stream))
        if self._addresses.credentials is not None:
            self._addresses.credentials.apply(self._subscription)
        self._subscription.connect(self._addresses.events_out)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._endpoint.run(), name="requests")
                tasks.create_task(self._receive_events(), name="events")
                tasks.create_task(self._keep_present(), name="presence")
                tasks.create_task(self._keep_reachable(), name="reachable")
        finally:
            self._tasks = None

    def close(self) -> None:
        """Say goodbye and leave; call after `run` has ended."""
        self._beat(leaving=True)
        self._endpoint.close()
        self._publisher.close(LAST_WORDS_MS)
        self._subscription.close(linger=0)
        self._context.term()

    async def _receive_events(self) -> None:
        while True:
            frames = await self._subscription.recv_multipart()
            try:
                self._take_event(wire.decode_publication(frames[-1]))
            except WireError as error:  # a listener's own mistakes end the process instead
                self._garbage_publications += 1
                logger.warning("dropped a publication of garbage: %s", error)

    def _take_event(self, publication: wire.Publication) -> None:
        if publication.name == BEAT.name:
            self._take_beat(wire.decode(publication.body, Beat))
            return
        now = asyncio.get_running_loop().time()
        self._presence.heard(publication.process, publication.epoch, now)
        self._feeds.receive(publication)

    def _take_beat(self, beat: Beat) -> None:
        if beat.name == self.identity.name and beat.epoch > self.identity.epoch:
            raise Superseded(f"{beat.name} was started again, as pid {beat.pid}; this one ends")
        if beat.name == BACKPLANE:
            self._clock.hear(beat.sent_at)
        now = asyncio.get_running_loop().time()
        if beat.name == self.identity.name and self._deaf(now):
            self._presence.excuse(now)
            self._doubtful.set()
        newcomer = self._presence.beat(beat, now)
        if newcomer and beat.name == BACKPLANE:
            self._doubtful.set()
        if not beat.leaving:
            self._feeds.beat(beat)
        if beat.hello and beat.name != self.identity.name:
            self._beat()
        if newcomer or beat.leaving:
            self._review_presence(came=newcomer)

    def _deaf(self, now: float) -> bool:
        """Whether our own beats do not come back: the backplane is away, or we were stopped."""
        return self._presence.silence_of(self.identity.name, now) > DEAF_AFTER_S

    def _review_presence(self, *, came: bool = False) -> None:
        now = asyncio.get_running_loop().time()
        gone = self._presence.remove_gone(now, deaf=self._deaf(now))
        for beat in gone:
            for forget in self._forget_owner:
                forget(beat.name)
        if came or gone:
            for listener in self._presence_listeners:
                listener()

    async def _keep_present(self) -> None:
        while self.identity.name not in self._presence:
            self._beat()  # once it comes back, the subscription is known to work
            await asyncio.sleep(HELLO_PAUSE_S)
        self._beat(hello=True)
        while True:
            for _ in range(REVIEWS_PER_BEAT):
                await asyncio.sleep(BEAT_S / REVIEWS_PER_BEAT)
                self._review_presence()
            self._beat()

    async def _keep_reachable(self) -> None:
        told = False
        while True:
            self._doubtful.clear()
            try:
                await self.call(self.identity.name, PING, Empty(), timeout_s=UNREACHABLE_AFTER_S)
                told = False
            except ProxyError as error:
                if not told:
                    logger.warning("cannot reach myself, connecting anew until I can: %s", error)
                told = True
                self._endpoint.reconnect()
                await asyncio.sleep(BEAT_S)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(SURE_FOR_S):
                    await self._doubtful.wait()

    @staticmethod
    async def _pong(_request: Empty) -> Empty:
        return Empty()

    def _beat(self, *, hello: bool = False, leaving: bool = False) -> None:
        who = self.identity
        self._publisher.publish_unnumbered(
            BEAT,
            Beat(
                name=who.name,
                kind=who.kind,
                host=who.host,
                pid=os.getpid(),
                epoch=who.epoch,
                started_at=who.started_at,
                sent_at=self._clock.read(),
                streams=self._publisher.positions,
                hello=hello,
                leaving=leaving,
            ),
        )

    def _ask_snapshot(self, process: str, stream: str) -> None:
        if self._tasks is not None:
            self._tasks.create_task(self._fetch_snapshot(process, stream))

    async def _fetch_snapshot(self, process: str, stream: str) -> None:
        try:
            snapshot = await self.call(
                process, SNAPSHOT, TakeSnapshot(stream=stream), timeout_s=SNAPSHOT_TIMEOUT_S
            )
            self._feeds.heal(process, stream, snapshot)
        except (ProxyError, WireError) as error:
            logger.info("no snapshot of %s from %s: %s", stream, process, error)
            self._feeds.give_up(process, stream)
