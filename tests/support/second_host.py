"""A main host's backplane that also listens on tcp, and the keys of hosts that join it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from common.bus.addresses import Addresses
from common.bus.security import Credentials, KeyPair
from tests.support.ports import free_ports
from workers.backplane.backplane import Backplane
from workers.backplane.entrance import Opening


@dataclass
class MainHost:
    """Where processes of this host and of others meet. `allowed` may change at any time."""

    local: Addresses
    own: KeyPair
    tcp: Addresses
    allowed: dict[bytes, str] = field(default_factory=dict)

    @property
    def opening(self) -> Opening:
        return Opening(self.tcp, self.own, lambda: self.allowed)

    def addresses_for(self, host: str) -> Addresses:
        """What a newly allowed host needs to join."""
        pair = KeyPair.new()
        self.allowed[pair.public] = host
        return self.addresses_with(pair, self.own.public)

    def addresses_with(self, pair: KeyPair, main_public: bytes) -> Addresses:
        """What a host with these keys uses to try it."""
        return replace(self.tcp, credentials=Credentials(pair, main_public))


@contextmanager
def running_main_host(directory: Path) -> Iterator[tuple[MainHost, Backplane]]:
    """A main host whose backplane runs until the end of the body."""
    requests, events_in, events_out = (f"tcp://127.0.0.1:{port}" for port in free_ports(3))
    tcp = Addresses(requests, events_in, events_out)
    host = MainHost(Addresses.in_directory(directory), KeyPair.new(), tcp)
    backplane = Backplane(host.local, host.opening)
    backplane.start()
    try:
        yield host, backplane
    finally:
        backplane.stop()
