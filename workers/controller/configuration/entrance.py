"""Whether an entrance could listen at a new address.

Else a gateway that is started anew would not come back, and nobody could set it right from outside.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection

import psutil


def unusable(host: str, port: int, ours: Collection[int]) -> str | None:
    """Why nothing can listen there, as what is allowed instead; null where it can.

    `ours` are the pids of this stack: a port that one of them holds is as good as free. Blocks.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # Without SO_REUSEPORT: with it, another's port could be shared unnoticed (socket(7)).
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except ValueError:  # a zero byte, or what no name may hold
        return "an address or the name of a host"
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return f"an address and a port that can be listened at ({error.strerror or error})"
        if not any(pid in ours for pid in _listeners(port)):
            return "a port that no other program has"
    return None


def _listeners(port: int) -> list[int]:
    return [
        connection.pid
        for connection in psutil.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
        and connection.laddr
        and connection.laddr.port == port
        and connection.pid is not None
    ]
