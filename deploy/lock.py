"""The lock that makes one `up` the only one of its home."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from common import lock
from common.home import Home
from deploy.failure import CommandFailed


@contextmanager
def hold(home: Home) -> Iterator[None]:
    """Own the home for the body. Raises CommandFailed, naming the owner, if somebody else does."""
    try:
        with lock.hold(home.lock_file):
            yield
    except lock.LockHeld as held:
        raise CommandFailed(
            f"another `llama-proxy up` of {home.root} is running (pid {held.pid or 'unknown'});"
            " stop it with `llama-proxy down` or choose another home with --home"
        ) from None


def owner(home: Home) -> int | None:
    """The pid of the `up` that runs this home; None where there is none."""
    return lock.owner(home.lock_file)
