"""Which hosts may connect over tcp, asked once per connection (ZAP, rfc.zeromq.org/spec/27).

pyzmq's own authenticator answers 400 to strangers, after which a client never tries again (libzmq
ends its session). Ours says 300, try later: a host that is allowed while it runs is then in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import zmq

from common.bus.security import ZAP_DOMAIN
from common.errors import ConfigInvalid

logger = logging.getLogger(__name__)

Allowed = Callable[[], Mapping[bytes, str]]
"""The names of the hosts that may join, by public key, as of now. Raises `ConfigInvalid`."""

MAX_TOLD = 1000

_ADDRESS = "inproc://zeromq.zap.01"
_VERSION = b"1.0"


class Admission:
    """Admits the allowed hosts, each under its name, which libzmq then puts on all it sends.

    It belongs to one thread, which calls `answer` whenever `socket` has something.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], allowed: Allowed) -> None:
        self._allowed = allowed
        self._told: set[bytes] = set()
        self.socket = context.socket(zmq.REP)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(_ADDRESS)

    def answer(self) -> None:
        """Answer libzmq's next question."""
        version, request_id, domain, address, _, mechanism, *keys = self.socket.recv_multipart()
        host = None
        if (version, domain, mechanism, len(keys)) == (_VERSION, ZAP_DOMAIN, b"CURVE", 1):
            host = self._host_with(keys[0], address.decode(errors="replace"))
        verdict = (b"300", b"not allowed", b"") if host is None else (b"200", b"", host.encode())
        self.socket.send_multipart([_VERSION, request_id, *verdict, b""])

    def _host_with(self, key: bytes, address: str) -> str | None:
        try:
            host = self._allowed().get(key)
        except ConfigInvalid as error:
            logger.warning("no host can join: %s", error.message)
            return None
        if host is None and key not in self._told and len(self._told) < MAX_TOLD:
            self._told.add(key)
            logger.warning("a host at %s is not allowed to join; its key is %s", address, key.hex())
        return host


def speaks_for(host: str, process: str) -> bool:
    """Whether a process of this name is one of `host`'s; singletons are nobody else's."""
    name, at, its_host = process.partition("@")
    return bool(name and at) and its_host == host


class Refusals:
    """What hosts sent in a name that is not theirs: how much, and the last of it."""

    def __init__(self) -> None:
        self.count = 0
        self.last = ""

    def add(self, host: str, claimed: str) -> None:
        """`host` used the name `claimed`, or sent what is no frame of ours."""
        self.count += 1
        self.last = f"host {host} spoke as {claimed[:100]!r}"
