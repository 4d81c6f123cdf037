"""Whether the ports of a stack are free, and who holds those that are not."""

from __future__ import annotations

import errno
import shlex
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from common.bus.addresses import TCP_PORTS, split_tcp
from common.settings import Settings
from common.settings_keys import KEYS
from deploy.processes import home_of


@dataclass(frozen=True)
class Port:
    """An address that a stack listens on; `setting` is the key that names its port."""

    host: str
    number: int
    setting: str


@dataclass(frozen=True)
class Holder:
    """Who listens on a port. All None where it is a process of another user.

    `home` is set where the holder is part of a llama-proxy stack.
    """

    pid: int | None = None
    command: str | None = None
    home: str | None = None

    def __str__(self) -> str:
        if self.pid is None:
            return "a process of another user"
        if self.home is not None:
            return f"the llama-proxy stack of home {self.home} (pid {self.pid}: {self.command})"
        return f"pid {self.pid}: {self.command}"


class PortUnusable(Exception):
    """A port cannot be bound; `holder` says by whom it is taken, if it is."""

    def __init__(self, port: Port, reason: str, holder: Holder | None = None) -> None:
        self.port = port
        self.holder = holder
        section, _, name = port.setting.partition(".")
        advice = f"set {port.setting} (or {KEYS[section, name].variable}) to another port"
        if holder is not None and holder.home is not None:
            down = f"llama-proxy down --home {shlex.quote(holder.home)}"
            advice = f"stop that with `{down}`, or {advice}"
        super().__init__(f"port {port.number} on {port.host} {reason}; {advice}")


def stack_ports(settings: Settings) -> tuple[Port, ...]:
    """The ports that a stack with these settings needs; one that joins another needs none."""
    if settings.backplane.join:
        return ()
    entrances = (
        Port(settings.server.host, settings.server.port, "server.port"),
        Port(settings.llama.host, settings.llama.port, "llama.port"),
    )
    if not settings.backplane.listen:
        return entrances
    host, first = split_tcp(settings.backplane.listen)
    backplane = (Port(host, first + n, "backplane.listen") for n in range(TCP_PORTS))
    return (*entrances, *backplane)


def check_free(port: Port) -> None:
    """Raise PortUnusable unless the port can be bound and listened on.

    Bound without SO_REUSEPORT: with it, two stacks would share a port unnoticed (socket(7)).
    SO_REUSEADDR only forgives connections that linger from a moment ago.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            port.host, port.number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise PortUnusable(port, f"cannot be used: {error.strerror or error}") from error
        holder = _holder(port.number)
        raise PortUnusable(port, f"is taken by {holder}", holder) from error


def _holder(number: int) -> Holder:
    for pid in _listeners(number):
        try:
            command = shlex.join(psutil.Process(pid).cmdline())
        except psutil.Error:
            continue
        return Holder(pid, command, home_of(pid))
    return Holder()


def _listeners(number: int) -> Iterator[int]:
    for connection in psutil.net_connections(kind="tcp"):
        if (
            connection.status == psutil.CONN_LISTEN
            and connection.laddr
            and connection.laddr.port == number
            and connection.pid is not None
        ):
            yield connection.pid
