"""Which requests are in flight on which instance, and which instances take no more.

Before an instance is stopped it is drained: `InFlight.drain` refuses new leases, `drained` returns
when the last one was released. Both happen in one event loop and between two awaits, so no request
can slip in.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Self


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """Where an instance's engine listens, and the key it wants."""

    instance_id: str
    host: str
    port: int
    api_key: str = field(repr=False)


class InstanceUse(NamedTuple):
    """How busy an instance is here.

    `last_used_s` is Unix time: when a lease on it last began or ended.
    """

    instance_id: str
    in_flight: int
    last_used_s: float


class Lease:
    """One request's hold on an instance: while it lasts, the instance counts as busy.

    A context manager; made by `InFlight.lease`. `release` may be called twice and counts once.
    """

    def __init__(self, address: EngineAddress, on_release: Callable[[], None]) -> None:
        self.address = address
        self._on_release: Callable[[], None] | None = on_release

    @property
    def instance_id(self) -> str:
        """The instance that is held."""
        return self.address.instance_id

    def release(self) -> None:
        """The request is over."""
        on_release, self._on_release = self._on_release, None
        if on_release is not None:
            on_release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class _Use:
    """The count of one instance."""

    def __init__(self, clock: Callable[[], float], on_release: Callable[[], None] | None) -> None:
        self._clock = clock
        self._on_release = on_release
        self.in_flight = 0
        self.last_used_s = 0.0
        self.draining = False
        self.idle: asyncio.Event | None = None
        """Made by the first who waits for it."""

    def enter(self) -> None:
        self.in_flight += 1
        self.last_used_s = self._clock()
        if self.idle is not None:
            self.idle.clear()

    def leave(self) -> None:
        self.in_flight -= 1
        self.last_used_s = self._clock()
        if self.idle is not None and self.in_flight == 0:
            self.idle.set()
        if self._on_release is not None:
            self._on_release()


class InFlight:
    """The leases of this process, by instance. `clock` gives Unix time in seconds.

    `on_release` is called after each lease that ends.
    """

    def __init__(
        self, clock: Callable[[], float] = time.time, on_release: Callable[[], None] | None = None
    ) -> None:
        self._clock = clock
        self._on_release = on_release
        self._uses: dict[str, _Use] = {}

    def lease(self, address: EngineAddress) -> Lease | None:
        """Hold the instance for one request; None while it is draining: choose another, or wait."""
        use = self._uses.get(address.instance_id) or self._use(address.instance_id)
        if use.draining:
            return None
        use.enter()
        return Lease(address, use.leave)

    def drain(self, instance_id: str) -> None:
        """Give out no more leases on this instance."""
        self._use(instance_id).draining = True

    def undrain(self, instance_id: str) -> None:
        """Take it into use again: the stop was called off."""
        self._use(instance_id).draining = False

    def draining(self, instance_id: str) -> bool:
        """Whether leases on this instance are refused."""
        use = self._uses.get(instance_id)
        return use is not None and use.draining

    async def drained(self, instance_id: str) -> None:
        """Return once nothing is in flight on this instance; at once for one never used."""
        use = self._uses.get(instance_id)
        while use is not None and use.in_flight:
            if use.idle is None:
                use.idle = asyncio.Event()
            await use.idle.wait()

    def count(self, instance_id: str) -> int:
        """Requests in flight on this instance."""
        use = self._uses.get(instance_id)
        return 0 if use is None else use.in_flight

    def uses(self) -> list[InstanceUse]:
        """All instances that were leased since they were last forgotten."""
        return [
            InstanceUse(instance_id, use.in_flight, use.last_used_s)
            for instance_id, use in self._uses.items()
            if use.last_used_s
        ]

    def forget(self, instance_id: str) -> None:
        """The instance is gone. Leases still out may be released as usual."""
        self._uses.pop(instance_id, None)

    def _use(self, instance_id: str) -> _Use:
        use = self._uses.get(instance_id)
        if use is None:
            use = self._uses[instance_id] = _Use(self._clock, self._on_release)
        return use
