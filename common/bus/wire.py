"""Bytes on the backplane: what a frame looks like, and what is refused.

A request travels as `[peer, head, body]`. The head is a version byte, a kind letter and the
request's id, so the switch can answer for an absent target without reading the body. Bodies are
msgpack maps that any msgpack library reads; the version byte leads a publication too.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple, TypeVar

import msgspec

VERSION = 1
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
MAX_ID_BYTES = 64

_PREFIX = bytes([VERSION])

T = TypeVar("T")

Body = bytes | memoryview | msgspec.Raw
"""A struct as msgpack, not yet decoded."""


class WireError(Exception):
    """A frame that is not ours: wrong version, size, depth, shape or type."""


class Kind(Enum):
    """What a frame on the request switch is. The last two come from the switch itself."""

    REQUEST = b"Q"
    REPLY = b"R"
    FAILURE = b"F"
    UNAVAILABLE = b"U"
    BUSY = b"B"


class Head(NamedTuple):
    """The first bytes of a frame on the request switch."""

    kind: Kind
    id: bytes


class Request(msgspec.Struct, frozen=True):
    """Body of a request. `deadline` is in seconds since 1970; `body` is the command's struct."""

    name: str
    deadline: float
    body: msgspec.Raw


class Failure(msgspec.Struct, frozen=True):
    """Body of a failure: a code of `common.errors` and what its exception says."""

    code: str
    message: str
    details: dict[str, Any] | None = None


class Publication(msgspec.Struct, frozen=True):
    """One event of a numbered stream. A process's streams are numbered each by itself, from 1."""

    process: str
    epoch: int
    stream: str
    sequence: int
    name: str
    body: msgspec.Raw


_encoder = msgspec.msgpack.Encoder()
_decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}


def pack_head(kind: Kind, request_id: bytes) -> bytes:
    """Version, kind and id as the bytes of a head frame."""
    return _PREFIX + kind.value + request_id


def unpack_head(frame: bytes) -> Head:
    """The head that `frame` holds. Raises `WireError`."""
    if not 3 <= len(frame) <= 2 + MAX_ID_BYTES:
        raise WireError(f"a head has 3 to {2 + MAX_ID_BYTES} bytes, not {len(frame)}")
    if frame[0] != VERSION:
        raise WireError(f"wire version {frame[0]} is not {VERSION}")
    try:
        return Head(Kind(frame[1:2]), frame[2:])
    except ValueError as error:
        raise WireError(f"unknown kind of frame {frame[1:2]!r}") from error


def encode(value: object) -> bytes:
    """`value` as msgpack.

    Raises `WireError` above `MAX_MESSAGE_BYTES`, and for what msgpack has no form for: text with
    lone surrogates, integers of more than 64 bits.
    """
    try:
        data = _encoder.encode(value)
    except (TypeError, OverflowError, RecursionError, UnicodeEncodeError) as error:
        raise WireError(str(error)) from error
    return _within_limit(data)


def _within_limit(data: bytes) -> bytes:
    if len(data) > MAX_MESSAGE_BYTES:
        raise WireError(f"a message of {len(data)} bytes is over the limit of {MAX_MESSAGE_BYTES}")
    return data


def raw(value: object) -> msgspec.Raw:
    """`value` as the body of a request or a publication."""
    return msgspec.Raw(encode(value))


def decode(data: Body, kind: type[T]) -> T:
    """A `kind` from msgpack, strictly typed. Raises `WireError`.

    Nesting is bounded: msgspec stops at the interpreter's recursion limit.
    """
    if len(memoryview(data)) > MAX_MESSAGE_BYTES:
        raise WireError(f"a message of {len(memoryview(data))} bytes is over the limit")
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    try:
        value: T = decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise WireError(str(error)) from error
    return value


def encode_publication(publication: Publication) -> bytes:
    """The version byte, then the publication as a msgpack map. Raises `WireError`."""
    return _within_limit(_PREFIX + encode(publication))


def decode_publication(frame: bytes) -> Publication:
    """The publication in `frame`. Raises `WireError`."""
    if frame[:1] != _PREFIX:
        raise WireError(f"wire version {frame[:1]!r} is not {VERSION}")
    return decode(memoryview(frame)[1:], Publication)
