"""Header files that mean no good: a clear error, at once, whatever the bytes are."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.raw_gguf import ARRAY, STRING, U8, U32, U64, array, entry, head, tensor, text
from tests.support.tiny_gguf import write_garbage, write_truncated
from workers.runner.inventory.gguf_bytes import WORK_LIMIT_STEPS, GgufError
from workers.runner.inventory.gguf_header import read_header

ROOM = bytes(4096)

many_examples = settings(
    max_examples=300,
    deadline=None,
    # The path is written anew by every example.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "another format": (b"PK\x03\x04" + ROOM, "no GGUF file"),
    "version 1": (head(version=1) + ROOM, "version 1"),
    "a version to come": (head(version=4) + ROOM, "version 4"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0) + ROOM, "big-endian"),
    "2^64 keys": (head(entries=2**64 - 1) + ROOM, "more than fit"),
    "2^63 tensors": (head(tensors=2**63) + ROOM, "more than fit"),
    "a key of 2^63 bytes": (head(1) + struct.pack("<Q", 2**63) + ROOM, "a key of"),
    "a text of 2^63 bytes": (
        head(1) + entry("k", STRING, struct.pack("<Q", 2**63)) + ROOM,
        "ends at byte",
    ),
    "a text of 2^64 bytes": (
        head(1) + entry("k", STRING, struct.pack("<Q", 2**64 - 1)) + ROOM,
        "ends at byte",
    ),
    "2^63 strings": (head(1) + entry("k", ARRAY, array(STRING, 2**63)) + ROOM, "ends at byte"),
    "2^62 numbers": (head(1) + entry("k", ARRAY, array(U32, 2**62)) + ROOM, "ends at byte"),
    "strings, the last of 2^64 bytes": (
        head(1)
        + entry("k", ARRAY, array(STRING, 2, text("a") + struct.pack("<Q", 2**64 - 1)))
        + ROOM,
        "ends at byte",
    ),
    "strings, one in between of 2^64 bytes": (
        head(1)
        + entry("k", ARRAY, array(STRING, 3, text("a") + struct.pack("<Q", 2**64 - 1)))
        + ROOM,
        "ends at byte",
    ),
    "an array of arrays": (
        head(1) + entry("k", ARRAY, array(ARRAY, 1, array(ARRAY, 1))) + ROOM,
        "array of arrays",
    ),
    "an unknown type": (head(1) + text("k") + struct.pack("<I", 77) + ROOM, "unknown type, 77"),
    "an array of an unknown type": (head(1) + entry("k", ARRAY, array(77, 1)) + ROOM, "type, 77"),
    "a key twice": (head(2) + entry("k", U8, b"\1") * 2 + ROOM, "occurs twice"),
    "keys too many": (head(100_000) + bytes(2_000_000), "holds 100,000 keys"),
    "tensors too many": (head(0, 100_000) + bytes(3_000_000), "holds 100,000 tensors"),
    "a tensor's name too long": (
        head(0, 1) + tensor("t" * 128, [1]) + ROOM,
        "a tensor name of 128 bytes",
    ),
    "keys too long": (
        head(20) + b"".join(entry(f"{i:065000}", U8, b"\0") for i in range(20)) + ROOM,
        "keys of the header exceed",
    ),
    "alignment 0": (head(1) + entry("general.alignment", U32, bytes(4)) + ROOM, "power of two"),
    "alignment 3": (head(1) + entry("general.alignment", U8, b"\3") + ROOM, "power of two"),
    "alignment 2^63": (
        head(1) + entry("general.alignment", U64, struct.pack("<Q", 2**63)) + ROOM,
        "impossible size",
    ),
    "alignment of text": (
        head(1) + entry("general.alignment", STRING, text("x" * 2000)) + ROOM,
        "power of two",
    ),
    "five dimensions": (head(0, 1) + tensor("t", [1] * 5) + ROOM, "5 dimensions"),
    "2^32 dimensions": (
        head(0, 1) + text("t") + struct.pack("<I", 2**32 - 1) + ROOM,
        "dimensions",
    ),
    "a tensor of 2^128 numbers": (
        head(0, 1) + tensor("t", [2**64 - 1, 2**64 - 1]) + ROOM,
        "impossible size",
    ),
    "a tensor at 2^64": (head(0, 1) + tensor("t", [1], offset=2**64 - 1) + ROOM, "impossible"),
    "tensors of 2^64 numbers": (
        head(0, 4) + b"".join(tensor(f"t{i}", [2**62], kind=24) for i in range(4)) + ROOM,
        "impossible",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name: str, tmp_path: Path) -> None:
    content, reason = HOSTILE[name]
    path = tmp_path / "hostile.gguf"
    path.write_bytes(content)
    with pytest.raises(GgufError, match=reason) as caught:
        read_header(path)
    assert len(str(caught.value)) < 300


@pytest.mark.timeout(20)
def test_a_file_of_nothing_but_empty_strings_is_refused(tmp_path: Path) -> None:
    # The files are sparse: 64 GB of zeros, which are 8,000,000,000 empty strings, take no space.
    path = tmp_path / "sparse.gguf"
    for kind, length, reason in (
        (STRING, WORK_LIMIT_STEPS + 1, "an array of 1,000,001 strings"),
        (STRING, 2**32, "longer than"),
        (U32, 2**33, "longer than"),
    ):
        path.write_bytes(head(1) + entry("k", ARRAY, array(kind, length)))
        os.truncate(path, 2**36)
        with pytest.raises(GgufError, match=reason):
            read_header(path)


def test_what_is_much_in_each_part_is_too_much_in_all(tmp_path: Path) -> None:
    path = tmp_path / "sum.gguf"
    parts = {"strings": 400_000, "tensors": 10_000, "keys": 5_000}

    def write(strings: int, tensors: int, keys: int) -> None:
        path.write_bytes(
            head(keys + 1, tensors)
            + entry("words", ARRAY, array(STRING, strings, text("word") * strings))
            + b"".join(entry(f"k{number}", U8, b"\1") for number in range(keys))
            + tensor("t", [4]) * tensors
        )

    write(**{part: count // 2 for part, count in parts.items()})
    assert read_header(path).tensor_count == 5_000
    write(**parts)
    with pytest.raises(GgufError, match="holds 10,000 tensors: that is more than any model needs"):
        read_header(path)


def test_a_name_is_no_way_around_the_limits(tmp_path: Path) -> None:
    # Each of them long and not UTF-8, which is what takes longest to decode.
    path = tmp_path / "long.gguf"
    name = struct.pack("<Q", 65_000) + b"\xc3" * 65_000
    path.write_bytes(head(0, 400) + (name + struct.pack("<IIQ", 0, 0, 0)) * 400)
    with pytest.raises(GgufError, match="a tensor name of 65,000 bytes"):
        read_header(path)


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    with pytest.raises(GgufError, match="regular file"):
        read_header(tmp_path)
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(GgufError, match="regular file"):
        read_header(tmp_path / "pipe.gguf")
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "nothing.gguf")


def test_a_truncated_file_is_seen(tmp_path: Path) -> None:
    header = read_header(write_truncated(tmp_path / "half.gguf"))
    assert header.truncated
    assert header.end > header.size_bytes


def test_truncation_anywhere(tmp_path: Path) -> None:
    whole = (
        head(3, 1)
        + entry("general.architecture", STRING, text("llama"))
        + entry("tokens", ARRAY, array(STRING, 2, text("one") + text("two")))
        + entry("layers", ARRAY, array(U32, 2, bytes(8)))
        + tensor("t", [4, 4])
    )
    path = tmp_path / "cut.gguf"
    for size_bytes in range(len(whole)):
        path.write_bytes(whole[:size_bytes])
        with pytest.raises(GgufError) as caught:
            read_header(path)
        assert caught.value.cut_short, f"at {size_bytes}: {caught.value}"
    path.write_bytes(whole)
    end = read_header(path).end
    for size_bytes in (len(whole), end - 1, end, end + 1):
        path.write_bytes(whole.ljust(size_bytes, b"\0")[:size_bytes])
        assert read_header(path).truncated == (size_bytes < end)


def read_any(path: Path, content: bytes) -> None:
    """Fails where the outcome is anything but a header or a `GgufError`."""
    path.write_bytes(content)
    with suppress(GgufError):
        header = read_header(path)
        assert 0 <= header.parameter_count < 2**63
        assert 0 <= header.end < 2**63


@many_examples
@given(content=st.binary(max_size=400), start=st.sampled_from([b"", b"GGUF", head(2, 2)]))
def test_any_bytes(tmp_path: Path, content: bytes, start: bytes) -> None:
    read_any(tmp_path / "any.gguf", start + content)


@many_examples
@given(data=st.data())
def test_damaged_headers(tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(
        head(4, 2)
        + entry("general.architecture", STRING, text("llama"))
        + entry("general.alignment", U32, struct.pack("<I", 32))
        + entry("tokens", ARRAY, array(STRING, 2, text("one") + text("two")))
        + entry("layers", ARRAY, array(U32, 2, bytes(8)))
        + tensor("t", [4, 4])
        + tensor("u", [2], offset=64)
        + bytes(128)
    )
    changes = data.draw(
        st.lists(st.tuples(st.integers(4, len(whole) - 1), st.binary(min_size=1, max_size=8)))
    )
    for at, change in changes:
        whole[at : at + len(change)] = change
    read_any(tmp_path / "damaged.gguf", bytes(whole))


def test_garbage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GgufError) as caught:
        read_header(write_garbage(tmp_path / "page.gguf"))
    assert not caught.value.cut_short
