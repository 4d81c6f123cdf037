"""What may come in a Socket.IO packet, beyond what the library itself checks.

See the Socket.IO protocol, revision 5 (github.com/socketio/socket.io-protocol).
"""

from __future__ import annotations

from typing import Any

from socketio import packet
from starlette.types import Message, Receive

MAX_PAYLOAD_BYTES = 1_000_000
"""Of one packet; a larger one ends its connection."""

MAX_ATTACHMENTS = 16
"""Binary parts of one packet, each at most MAX_PAYLOAD_BYTES, which are kept until the last."""

RESERVED_NAMES = frozenset({"*", "connect", "connect_error", "disconnect", "disconnecting"})
"""The library would call our own handlers of these with what the client has made up."""


_ENGINE_PACKETS = frozenset("0123456")
"""With which of these a text frame begins says what it is; binary frames are messages."""


def readable_frames(receive: Receive) -> Receive:
    """A websocket's frames until one that is no Engine.IO packet, which ends the connection.

    The library would leave such a connection half open, and its traceback in the log.
    """

    async def receive_readable() -> Message:
        message = await receive()
        text = message.get("text")
        if text is not None and text[:1] not in _ENGINE_PACKETS:
            return {"type": "websocket.disconnect", "code": 1002}
        return message

    return receive_readable


class BoundedPacket(packet.Packet):  # type: ignore[misc]  # the library has no types
    """A packet whose size is bounded and whose event, if it is one, has a name of its own."""

    def decode(self, encoded_packet: Any) -> Any:
        """Read it, and say how many attachments follow. Raises ValueError for an unfit one."""
        attachments = super().decode(encoded_packet)
        if attachments and attachments > MAX_ATTACHMENTS:
            raise ValueError(f"more than {MAX_ATTACHMENTS} attachments")
        if self.packet_type in (packet.EVENT, packet.BINARY_EVENT):
            named = isinstance(self.data, list) and self.data and isinstance(self.data[0], str)
            if not named or self.data[0] in RESERVED_NAMES:
                raise ValueError("an event without a name of its own")
        return attachments
