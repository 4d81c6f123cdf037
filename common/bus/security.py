"""Who may use a tcp connection, and how a cut one is noticed: keys on ZeroMQ sockets.

Between hosts everything travels encrypted and authenticated by CURVE (rfc.zeromq.org/spec/26). The
joining side needs its own pair for it, and the main host's public key. There is no tcp without it;
ipc needs none of this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import zmq
from zmq.utils import z85

KEY_BYTES = 32

ZAP_DOMAIN = b"llama-proxy"
"""Makes libzmq ask the admission (`workers.backplane.admission`) about each connection."""

# A cut link shows only by silence. Together they find one within about three seconds and try again
# often enough that a link which returns is used within another two.
_HEARTBEAT_IVL_MS = 1000
_HEARTBEAT_TIMEOUT_MS = 2000
_CONNECT_TIMEOUT_MS = 1500
_HANDSHAKE_IVL_MS = 2000
_RECONNECT_IVL_MS = 100
_RECONNECT_IVL_MAX_MS = 500

AnySocket = zmq.Socket[Any]


@dataclass(frozen=True)
class KeyPair:
    """A CURVE key pair, `KEY_BYTES` each. The secret half is never shown."""

    public: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> KeyPair:
        """A pair that nobody else has."""
        public, secret = zmq.curve_keypair()
        return cls(z85.decode(public), z85.decode(secret))


@dataclass(frozen=True)
class Credentials:
    """What a host that joins needs: its own pair, and whom it takes for the main host."""

    own: KeyPair
    main_public: bytes

    def apply(self, socket: AnySocket) -> None:
        """Make the socket's next `connect` a joining host's."""
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self.own.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self.own.secret)
        socket.setsockopt(zmq.CURVE_SERVERKEY, self.main_public)
        socket.setsockopt(zmq.CONNECT_TIMEOUT, _CONNECT_TIMEOUT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_IVL_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_IVL_MAX_MS)
        # While the link is cut nothing is kept for it: callers repeat, and snapshots heal.
        socket.setsockopt(zmq.IMMEDIATE, 1)
        _watch_link(socket)


def admit_by_key(socket: AnySocket, own: KeyPair) -> None:
    """Make the socket's next `bind` one of the main host's, for joining hosts.

    Binds made before keep what they had: libzmq copies the options into each listener. Without
    somebody who answers for the ZAP domain every connection is refused.
    """
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret)
    socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    _watch_link(socket)


def _watch_link(socket: AnySocket) -> None:
    socket.setsockopt(zmq.IPV6, 1)
    socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_IVL_MS)
    socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_IVL_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_TIMEOUT_MS)
