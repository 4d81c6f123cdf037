"""Where the backplane listens, for the processes of its own host and for those of others."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.bus.security import Credentials

LONGEST_SOCKET_NAME = "events-out.sock"

TCP_PORTS = 3
"""How many ports a backplane takes for other hosts: the one that is named and those after it."""

_LAST_PORT = 65_535 - (TCP_PORTS - 1)
_TCP = re.compile(r"tcp://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class Addresses:
    """The three ZeroMQ addresses of a backplane.

    `requests` is the switch; processes publish to `events_in` and subscribe at `events_out`.
    `credentials` are what a process of another host needs there; null on the backplane's own host.
    """

    requests: str
    events_in: str
    events_out: str
    credentials: Credentials | None = None

    @classmethod
    def in_directory(cls, directory: Path) -> Addresses:
        """ipc addresses in `directory`, which is private to the user (mode 0700).

        The paths end at 107 bytes; the caller sees to that.
        """
        return cls(
            requests=f"ipc://{directory}/requests.sock",
            events_in=f"ipc://{directory}/events-in.sock",
            events_out=f"ipc://{directory}/{LONGEST_SOCKET_NAME}",
        )

    @classmethod
    def over_tcp(cls, address: str, credentials: Credentials | None = None) -> Addresses:
        """The port of `address` and the two after it. Raises `ValueError`."""
        host, port = split_tcp(address)
        shown = f"[{host}]" if ":" in host else host
        requests, events_in, events_out = (f"tcp://{shown}:{port + n}" for n in range(TCP_PORTS))
        return cls(requests, events_in, events_out, credentials)


def split_tcp(address: str) -> tuple[str, int]:
    """Host and port of `tcp://HOST:PORT`. Raises `ValueError` where it is anything else."""
    found = _TCP.fullmatch(address)
    if found is None:
        raise ValueError(f"{address!r} is not tcp://HOST:PORT")
    host, port = found["host"].strip("[]"), int(found["port"])
    if not 1 <= port <= _LAST_PORT:
        raise ValueError(f"port {port} is not one from 1 to {_LAST_PORT}")
    return host, port
