"""Free TCP ports on loopback."""

from __future__ import annotations

import errno
import random
import socket

# Below the range from which the kernel takes the near end of outgoing connections (ip(7),
# ip_local_port_range): one of those could hold the port again before it is listened on.
_PORTS = range(15_000, 32_000)
_ATTEMPTS = 1_000


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment; all different."""
    sockets: list[socket.socket] = []
    try:
        for port in random.sample(_PORTS, _ATTEMPTS):
            sock = socket.socket()
            try:
                sock.bind(("127.0.0.1", port))
            except OSError as error:
                sock.close()
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            sockets.append(sock)
            if len(sockets) == count:
                return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()
    raise AssertionError(f"no {count} free ports on this machine")
