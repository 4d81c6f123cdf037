"""Reading forward by windows: no window size and no string length changes what is read."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.runner.inventory.gguf_bytes import ForwardReader, GgufError


@contextmanager
def reader_of(content: bytes, window_bytes: int = 4096) -> Iterator[tuple[ForwardReader, int]]:
    """A reader of a file with `content`, and the file's descriptor."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield ForwardReader(file.fileno(), len(content), window_bytes), file.fileno()


@given(
    strings=st.lists(st.binary(max_size=60), max_size=30),
    window_bytes=st.integers(1, 100),
)
def test_strings_are_stepped_over_at_any_window(strings: list[bytes], window_bytes: int) -> None:
    content = b"".join(struct.pack("<Q", len(string)) + string for string in strings)
    with reader_of(content + b"after", window_bytes) as (reader, _):
        reader.skip_strings(len(strings))
        assert reader.position == len(content)
        assert reader.take(5) == b"after"
        assert reader.remaining == 0


@given(sizes=st.lists(st.integers(0, 40), max_size=20), window_bytes=st.integers(1, 50))
def test_bytes_are_taken_and_skipped_at_any_window(sizes: list[int], window_bytes: int) -> None:
    content = bytes(range(256)) * 4
    with reader_of(content, window_bytes) as (reader, _):
        position = 0
        for count, size_bytes in enumerate(sizes):
            if count % 2:
                reader.skip(size_bytes)
            else:
                assert reader.take(size_bytes) == content[position : position + size_bytes]
            position += size_bytes
            assert reader.position == position


def test_a_file_that_shrinks_while_it_is_read() -> None:
    with reader_of(bytes(10_000), window_bytes=16) as (reader, fd):
        reader.take(16)
        os.ftruncate(fd, 20)
        with pytest.raises(GgufError, match="became shorter") as caught:
            reader.take(16)
        assert caught.value.cut_short
        with pytest.raises(GgufError, match="became shorter"):
            reader.skip_strings(10)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(IsADirectoryError):
            ForwardReader(fd, 100).u32()
    finally:
        os.close(fd)
