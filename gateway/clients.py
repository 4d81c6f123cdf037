"""Who is connected to this gateway, as whom, and how much each has under way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from common.caller import Caller
from common.errors import Busy, Unauthenticated

MAX_CLIENTS = 10_000
MAX_REQUESTS_IN_FLIGHT = 64
"""Of one client; a page that asks for more at once is told to wait."""


@dataclass
class Client:
    """One connection to one namespace. `id` is its `socket.id`."""

    id: str
    namespace: str
    caller: Caller
    in_flight: int = 0


class Clients:
    """The clients that were let in, by id."""

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def enter(self, client_id: str, namespace: str, caller: Caller) -> None:
        """A client was let in. Raises `Busy` where there are too many."""
        if len(self._clients) >= MAX_CLIENTS:
            raise Busy(f"{MAX_CLIENTS} clients are connected already; try again later")
        self._clients[client_id] = Client(client_id, namespace, caller)

    def leave(self, client_id: str) -> bool:
        """A client is gone; whether it had been let in."""
        return self._clients.pop(client_id, None) is not None

    @contextmanager
    def request_of(self, client_id: str) -> Iterator[Caller]:
        """A request is under way in the body. Raises `Busy` beyond the limit for one client."""
        client = self._clients.get(client_id)
        if client is None:
            raise Unauthenticated("this client has been disconnected")
        if client.in_flight >= MAX_REQUESTS_IN_FLIGHT:
            raise Busy(
                f"{MAX_REQUESTS_IN_FLIGHT} requests of this client are under way already; wait for"
                " answers",
                {"limit": MAX_REQUESTS_IN_FLIGHT},
            )
        client.in_flight += 1
        try:
            yield client.caller
        finally:
            client.in_flight -= 1

    def without(self, welcome: Callable[[Caller], bool]) -> list[Client]:
        """Those whose callers are not (or no longer) welcome."""
        return [client for client in self._clients.values() if not welcome(client.caller)]
