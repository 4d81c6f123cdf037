"""The entrance of those who own the stack: a Unix socket in home, which needs no token.

Only who may open that directory (mode 0700) reaches it: the CLI on the stack's own machine.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

_LOCAL = "llama_proxy.local"


class LocalEntrance:
    """An ASGI application that marks what comes by it; a client cannot write into a scope."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or websocket."""
        await self._app({**scope, _LOCAL: True}, receive, send)


def is_local(scope: Scope) -> bool:
    """Whether a request came by `LocalEntrance`."""
    return scope.get(_LOCAL) is True


@contextmanager
def listening_locally(path: Path) -> Iterator[socket.socket]:
    """A listening socket at `path`, removed at the end.

    One that a killed predecessor has left is replaced: a process holds the lock of its name.
    """
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        path.chmod(0o600)
        sock.listen()
        yield sock
    finally:
        sock.close()
        path.unlink(missing_ok=True)
