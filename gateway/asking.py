"""Which client the request under way is from, for the few commands that are about the client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_client_id: ContextVar[str] = ContextVar("client_id")


@contextmanager
def asked_by(client_id: str) -> Iterator[None]:
    """Work for this client in the body; tasks that are started in it keep it."""
    token = _client_id.set(client_id)
    try:
        yield
    finally:
        _client_id.reset(token)


def asking_client() -> str:
    """The id of the client that asks. Raises LookupError outside of `asked_by`."""
    return _client_id.get()
