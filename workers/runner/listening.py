"""Ports: finding a free one, and seeing whose server it is that listens there."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from pathlib import Path

from workers.runner.listeners import listeners
from workers.runner.proc import family


def free_port(host: str) -> int:
    """A TCP port of `host` that nobody uses now; somebody may take it before an engine does."""
    version, _, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    with socket.socket(version, socket.SOCK_STREAM) as sock:
        sock.bind(address)
        port: int = sock.getsockname()[1]
        return port


def listens(pid: int, host: str, port: int) -> bool:
    """True if the process or a descendant holds every socket that listens on this address.

    Every one: with SO_REUSEPORT a stranger could share the port, and get half of the requests.
    Blocks for a millisecond.
    """
    addresses = {
        ipaddress.ip_address(info[4][0])
        for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    }
    unclaimed = {
        listener.inode
        for listener in listeners()
        if listener.port == port
        and (listener.address in addresses or listener.address.is_unspecified)
    }
    if not unclaimed:
        return False
    for member in family(pid):
        unclaimed -= _sockets(member)
        if not unclaimed:
            return True
    return False


def _sockets(pid: int) -> set[int]:
    """Inodes of the sockets that a process has open; none if it is gone or somebody else's."""
    found = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                target = str(entry.readlink())
                if target.startswith("socket:["):
                    found.add(int(target[len("socket:[") : -1]))
    return found
