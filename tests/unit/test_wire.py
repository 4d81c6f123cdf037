from __future__ import annotations

import contextlib
from typing import Any, get_origin

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.api.base import Change
from common.api.bus import Beat, Snapshot
from common.api.catalog import COMMANDS, EVENTS
from common.api.models import Model
from common.bus import wire
from common.bus.wire import Kind, WireError

INTEGERS = st.integers(min_value=-(2**63), max_value=2**64 - 1)
PLAIN = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
"""What msgpack has a form for."""

ANYTHING = st.recursive(
    st.integers()
    | st.complex_numbers()
    | st.text(st.characters(exclude_categories=()))  # with lone surrogates, as file names have
    | st.builds(object),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)

KINDS: list[Any] = [
    wire.Request,
    wire.Failure,
    wire.Publication,
    Beat,
    Snapshot,
    Change[Model],
    *(kind for command in COMMANDS.values() for kind in (command.request, command.reply)),
    *(event.payload for event in EVENTS.values()),
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Valid msgpack with some bytes changed, cut off or put in front."""
    data = bytearray(msgpack.packb(draw(PLAIN)))
    for place, byte in draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)))):
        data[place % len(data)] = byte
    return draw(st.binary(max_size=3)) + bytes(data[: draw(st.integers(0, len(data)))])


GARBAGE = st.binary(max_size=200) | damaged()


@given(GARBAGE)
def test_any_bytes_are_a_head_or_an_error(frame: bytes) -> None:
    try:
        head = wire.unpack_head(frame)
    except WireError:
        return
    assert wire.pack_head(head.kind, head.id) == frame


@given(st.sampled_from(list(Kind)), st.binary(min_size=1, max_size=wire.MAX_ID_BYTES))
def test_a_head_comes_back_as_it_went(kind: Kind, request_id: bytes) -> None:
    assert wire.unpack_head(wire.pack_head(kind, request_id)) == (kind, request_id)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x01Q",
        b"\x02Q1",
        b"\x01Z1",
        b"\x01Q" + b"x" * (wire.MAX_ID_BYTES + 1),
    ],
    ids=["empty", "no id", "other version", "unknown kind", "long id"],
)
def test_a_head_that_is_not_ours_is_refused(frame: bytes) -> None:
    with pytest.raises(WireError):
        wire.unpack_head(frame)


@given(GARBAGE)
def test_any_bytes_are_a_plain_value_or_an_error(data: bytes) -> None:
    with contextlib.suppress(WireError):
        wire.decode(data, Any)


@given(GARBAGE, st.sampled_from(KINDS))
def test_any_bytes_are_a_struct_of_the_asked_type_or_an_error(data: bytes, kind: Any) -> None:
    with contextlib.suppress(WireError):
        assert isinstance(wire.decode(data, kind), get_origin(kind) or kind)


@given(st.data(), st.sampled_from(KINDS))
def test_any_values_in_the_right_fields_are_a_struct_or_an_error(
    data: st.DataObject, kind: Any
) -> None:
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    some = data.draw(st.sets(st.sampled_from(names))) if names else set()
    body = {name: data.draw(PLAIN | st.just({}) | st.just([])) for name in sorted(some)}
    with contextlib.suppress(WireError):
        assert isinstance(wire.decode(msgpack.packb(body), kind), get_origin(kind) or kind)


@given(GARBAGE)
def test_any_bytes_are_a_publication_or_an_error(frame: bytes) -> None:
    for data in (frame, bytes([wire.VERSION]) + frame):
        try:
            publication = wire.decode_publication(data)
        except WireError:
            continue
        assert isinstance(publication, wire.Publication)


@given(ANYTHING)
def test_any_value_is_encoded_or_refused_with_an_error_of_ours(value: object) -> None:
    try:
        data = wire.encode(value)
    except WireError:
        return
    assert isinstance(data, bytes)


def test_deep_nesting_is_refused_both_ways() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(WireError):
        wire.encode(nested)
    for level in (b"\x91", b"\x81\xa1a"):
        with pytest.raises(WireError):
            wire.decode(level * 100_000, Any)


@given(PLAIN)
def test_values_come_back_as_they_went(value: Any) -> None:
    assert wire.decode(wire.encode(value), Any) == value


@given(PLAIN)
def test_what_we_encode_is_read_by_another_library(value: Any) -> None:
    assert msgpack.unpackb(wire.encode(value), strict_map_key=False) == value


publications = st.builds(
    wire.Publication,
    process=st.text(),
    epoch=INTEGERS,
    stream=st.text(),
    sequence=INTEGERS,
    name=st.text(),
    body=PLAIN.map(wire.raw),
)


@given(publications)
def test_a_publication_comes_back_as_it_went(publication: wire.Publication) -> None:
    read = wire.decode_publication(wire.encode_publication(publication))
    assert bytes(read.body) == bytes(publication.body)
    assert msgspec.structs.replace(read, body=publication.body) == publication


@given(publications)
def test_a_publication_is_a_version_byte_and_a_plain_map(publication: wire.Publication) -> None:
    frame = wire.encode_publication(publication)
    assert frame[0] == wire.VERSION
    assert msgpack.unpackb(frame[1:], strict_map_key=False) == {
        "process": publication.process,
        "epoch": publication.epoch,
        "stream": publication.stream,
        "sequence": publication.sequence,
        "name": publication.name,
        "body": wire.decode(publication.body, Any),
    }


@given(
    st.builds(
        wire.Failure,
        code=st.text(),
        message=st.text(),
        details=st.none() | st.dictionaries(st.text(max_size=5), PLAIN, max_size=3),
    )
)
def test_a_failure_comes_back_as_it_went(failure: wire.Failure) -> None:
    assert wire.decode(wire.encode(failure), wire.Failure) == failure


def test_unknown_fields_of_the_contract_are_refused() -> None:
    beat = {"name": "a", "kind": "cli", "host": "h", "pid": 1, "epoch": 1, "startedAt": 1.0}
    assert wire.decode(msgpack.packb(beat | {"streams": {}}), Beat).started_at == 1.0
    with pytest.raises(WireError, match="extra"):
        wire.decode(msgpack.packb(beat | {"streams": {}, "extra": 1}), Beat)


def test_a_message_may_have_the_limit_and_no_byte_more() -> None:
    header_bytes = 5
    largest = b"x" * (wire.MAX_MESSAGE_BYTES - header_bytes)
    data = wire.encode(largest)
    assert len(data) == wire.MAX_MESSAGE_BYTES
    assert wire.decode(data, bytes) == largest
    with pytest.raises(WireError, match="limit"):
        wire.encode(largest + b"x")
    for body in (data + b"x", memoryview(data + b"x"), msgspec.Raw(data + b"x")):
        with pytest.raises(WireError, match="limit"):
            wire.decode(body, bytes)


def test_a_publications_version_byte_counts_too() -> None:
    # libzmq cuts the connection of who sends a byte more.
    empty = wire.Publication("p", 1, "s", 1, "n", wire.raw(b"x" * 70_000))
    overhead_bytes = len(wire.encode_publication(empty)) - 70_000
    room_bytes = wire.MAX_MESSAGE_BYTES - overhead_bytes
    fits = msgspec.structs.replace(empty, body=wire.raw(b"x" * room_bytes))
    assert len(wire.encode_publication(fits)) == wire.MAX_MESSAGE_BYTES
    with pytest.raises(WireError, match="limit"):
        wire.encode_publication(
            msgspec.structs.replace(empty, body=wire.raw(b"x" * (room_bytes + 1)))
        )
