"""All sockets of this host that listen on TCP, as the kernel lists them.

It is asked by netlink (man 7 sock_diag), which takes a tenth of a millisecond. /proc/net/tcp has
the same, but a read walks the table of all connections: 20 ms on a host with much memory.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# linux/netlink.h, linux/sock_diag.h, net/tcp_states.h
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST_DUMP = 0x301
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_TCP_LISTEN = 10

_MESSAGE = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port id
_REQUEST = struct.Struct("=BBBxI48x")  # struct inet_diag_req_v2: family, protocol, ext, states
_ANSWER = struct.Struct("=B3x2s2x16s16x28xI")  # struct inet_diag_msg: family, port, address, inode
_RECEIVE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Listener:
    """One listening socket; `inode` is what its holder's /proc/PID/fd shows."""

    address: IpAddress
    port: int
    inode: int


def listeners() -> list[Listener]:
    """All listening TCP sockets of this network namespace, for IPv4 and IPv6."""
    try:
        return [*ask_kernel(socket.AF_INET), *ask_kernel(socket.AF_INET6)]
    except OSError:  # a sandbox without this kind of netlink
        return [*read_table("tcp"), *read_table("tcp6")]


def ask_kernel(version: int) -> Iterator[Listener]:
    """The listeners of AF_INET or AF_INET6 by netlink; raises OSError where there is none."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as netlink:
        request = _REQUEST.pack(version, socket.IPPROTO_TCP, 0, 1 << _TCP_LISTEN)
        length = _MESSAGE.size + len(request)
        header = _MESSAGE.pack(length, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST_DUMP, 1, 0)
        netlink.send(header + request)
        while True:
            received = netlink.recv(_RECEIVE_BYTES)
            while received:
                length, kind, *_ = _MESSAGE.unpack_from(received)
                if kind == _NLMSG_DONE:
                    return
                if kind == _NLMSG_ERROR:
                    raise OSError("netlink refuses to list sockets")
                yield _listener(received[_MESSAGE.size : length])
                received = received[(length + 3) & ~3 :]


def read_table(name: str) -> Iterator[Listener]:
    """The listeners in /proc/net/tcp or tcp6 (man 5 proc)."""
    try:
        lines = Path("/proc/net", name).read_text().splitlines()[1:]
    except FileNotFoundError:  # no IPv6 on this host
        return
    for line in lines:
        fields = line.split()
        if int(fields[3], 16) == _TCP_LISTEN:
            address, port = fields[1].split(":")
            # Each 32-bit word is printed as a number in the machine's byte order.
            words = (int(address[at : at + 8], 16) for at in range(0, len(address), 8))
            packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
            yield Listener(_ip_address(packed), int(port, 16), int(fields[9]))


def _listener(answer: bytes) -> Listener:
    version, port, address, inode = _ANSWER.unpack_from(answer)
    packed = address[:4] if version == socket.AF_INET else address
    return Listener(_ip_address(packed), int.from_bytes(port, "big"), inode)


def _ip_address(packed: bytes) -> IpAddress:
    address = ipaddress.ip_address(packed)
    return getattr(address, "ipv4_mapped", None) or address
