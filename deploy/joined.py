"""Waiting until the processes of this host are heard at the main host it joins."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import zmq
from zmq.utils.monitor import recv_monitor_message

from common.api.bus import BEAT, Beat
from common.bus import wire
from common.bus.addresses import Addresses
from common.bus.bus import BACKPLANE
from common.bus.events import topic
from common.bus.wire import WireError
from common.service import backplane_addresses
from common.supervisor_rpc import SupervisorRpc, SupervisorUnreachable
from deploy.presence import Presence
from deploy.stack import Stack

_POLL_MS = 100
_UNHEARD_S = 8.0
"""How long after the main host was first heard the first of ours may take."""

_MANY_FAILURES = 3
"""How many handshakes must fail to count: a backplane that is just leaving ends some, too."""


@dataclass
class _Findings:
    """What a look at the main host has brought so far."""

    wanted: frozenset[str]
    heard: set[str] = field(default_factory=set)
    main_heard_at: float | None = None
    failed_handshakes: int = 0

    @property
    def complete(self) -> bool:
        return self.main_heard_at is not None and self.wanted <= self.heard

    @property
    def turned_away(self) -> bool:
        return self.failed_handshakes >= _MANY_FAILURES

    @property
    def unknown(self) -> bool:
        """The main host is heard, and nothing of ours, though there was time for it."""
        return (
            self.main_heard_at is not None
            and not self.wanted & self.heard
            and time.monotonic() - self.main_heard_at > _UNHEARD_S
        )


def wait_until_heard(stack: Stack, timeout_s: float, stopped: threading.Event) -> Presence:
    """Listen at the main host until every program of this one has told that it is there.

    Blocks, so call from a thread. Returns early once `stopped` is set, and where waiting is of no
    use until somebody does something.
    """
    host = stack.settings.host.resolved_name()
    wanted = {f"{program.name}@{host}": program.name for program in stack.programs}
    addresses = backplane_addresses(stack.home, stack.settings)
    deadline = time.monotonic() + timeout_s
    found = _Findings(frozenset(wanted))
    with _listening(addresses) as (subscription, monitor):
        while not (found.complete or found.turned_away or found.unknown or stopped.is_set()):
            found.heard |= set(_beats(subscription))
            if found.main_heard_at is None and BACKPLANE in found.heard:
                found.main_heard_at = time.monotonic()
            found.failed_handshakes += _failed_handshakes(monitor)
            if time.monotonic() > deadline:
                break
    missing = tuple(name for full, name in wanted.items() if full not in found.heard)
    main_answers = found.main_heard_at is not None and not found.unknown
    return Presence(main_answers, missing, _states(stack), _silence(found, host, addresses))


def _silence(found: _Findings, host: str, addresses: Addresses) -> str:
    if found.turned_away:
        return (
            f"{addresses.requests} turns this host away: its key must be allowed there"
            " (`llama-proxy keys allow`), and the key that answers there must be trusted here"
            " (`llama-proxy keys trust`); `llama-proxy keys` shows both"
        )
    if found.unknown:
        return (
            f"the main host knows this host by another name than {host}: the name in"
            " `llama-proxy keys allow`, there, must be host.name, here"
        )
    return f"nothing answers at {addresses.requests}"


@contextmanager
def _listening(addresses: Addresses) -> Iterator[tuple[zmq.Socket[bytes], zmq.Socket[bytes]]]:
    """A subscription to all beats, and what befalls its connection."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    subscription = context.socket(zmq.SUB)
    subscription.setsockopt(zmq.RCVTIMEO, _POLL_MS)
    subscription.setsockopt(zmq.MAXMSGSIZE, wire.MAX_MESSAGE_BYTES)
    subscription.subscribe(topic(BEAT.stream))
    monitor = subscription.get_monitor_socket()
    if addresses.credentials is not None:
        addresses.credentials.apply(subscription)
    subscription.connect(addresses.events_out)
    try:
        yield subscription, monitor
    finally:
        subscription.disable_monitor()
        monitor.close(linger=0)
        subscription.close(linger=0)
        context.term()


def _beats(subscription: zmq.Socket[bytes]) -> Iterator[str]:
    """Who was heard next, if anybody was for a moment."""
    try:
        frames = subscription.recv_multipart()
        yield wire.decode(wire.decode_publication(frames[-1]).body, Beat).name
    except (zmq.Again, WireError):
        return


def _failed_handshakes(monitor: zmq.Socket[bytes]) -> int:
    """How often the connection was closed before it was one, since the last look."""
    failed = 0
    while monitor.poll(0):
        failed += recv_monitor_message(monitor)["event"] == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    return failed


def _states(stack: Stack) -> dict[str, str]:
    try:
        return dict(SupervisorRpc(stack.home.supervisord_socket).states())
    except SupervisorUnreachable:
        return {}
