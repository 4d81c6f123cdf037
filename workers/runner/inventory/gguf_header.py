"""Reads the header of a GGUF file: what the model is, and how long the file has to be.

The layout is that of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3,
little endian. Contents of arrays are stepped over, since a vocabulary is megabytes of them and
nothing of it is shown. What llama.cpp itself refuses (big-endian files, nested arrays, keys that
occur twice, more than four dimensions) is refused here as well.

Whatever the bytes are, the outcome is a `Header` or a `GgufError` after some 50 ms at most: no
count or length is believed before it is compared with what the file can hold and what any model
needs.
"""

from __future__ import annotations

import math
import os
import reprlib
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from workers.runner.inventory.gguf_bytes import ForwardReader, GgufError
from workers.runner.inventory.gguf_constants import BLOCKS, DEFAULT_ALIGNMENT, MAGIC
from workers.runner.inventory.gguf_metadata import MetadataValue, read_metadata

_TENSOR_STEPS = 40
_TENSOR_NAME_LIMIT_BYTES = 127
"""llama.cpp takes 63 bytes (GGML_MAX_NAME), or 127 where it is built for longer names."""
_DIMENSIONS_LIMIT = 4
_TENSOR_LAYOUTS = tuple(struct.Struct(f"<{count}QIQ") for count in range(_DIMENSIONS_LIMIT + 1))
"""What follows the number of dimensions: their sizes, the type, the offset."""
_SIZE_LIMIT = 2**62
_SMALLEST_KEY_BYTES = 8 + 4 + 1
_SMALLEST_TENSOR_BYTES = 8 + 4 + 4 + 8


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says of itself.

    `metadata` is in the file's order. `data_offset` is the byte where tensor data begins, and
    `end` the byte where the last tensor ends; a tensor of a type that is not known here counts as
    if it had no bytes. `size_bytes` is the file's size when it was read.
    """

    version: int
    metadata: dict[str, MetadataValue]
    tensor_count: int
    parameter_count: int
    alignment: int
    data_offset: int
    end: int
    size_bytes: int

    @property
    def truncated(self) -> bool:
        """Whether the file ends before its last tensor does."""
        return self.end > self.size_bytes

    def text(self, key: str) -> str | None:
        """The value of `key` where it is a text."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def integer(self, key: str) -> int | None:
        """The value of `key` where it is a whole number."""
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_header(path: Path) -> Header:
    """The header of the file at `path`.

    Raises `GgufError` where its content is not that of a GGUF file or goes on beyond its end, and
    `OSError` where it cannot be opened or read. Blocks: 20 ms for a vocabulary of 150,000 tokens.
    """
    # O_NONBLOCK matters for pipes only: opening one would wait for a writer.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise GgufError("It is not a regular file.")
        return _header(ForwardReader(fd, status.st_size), status.st_size)
    finally:
        os.close(fd)


def _header(reader: ForwardReader, size_bytes: int) -> Header:
    version = _version(reader, size_bytes)
    tensor_count = reader.u64()
    key_count = reader.u64()
    _check_count(reader, key_count, "keys", _SMALLEST_KEY_BYTES)
    _check_count(reader, tensor_count, "tensors", _SMALLEST_TENSOR_BYTES)
    metadata = read_metadata(reader, key_count)
    alignment = _alignment(metadata)
    reader.spend(tensor_count * _TENSOR_STEPS, f"{tensor_count:,} tensors")
    parameter_count = 0
    data_size_bytes = 0
    for _ in range(tensor_count):
        numbers, tensor_end = _tensor(reader)
        parameter_count += numbers
        data_size_bytes = max(data_size_bytes, tensor_end)
    header_end = reader.position
    data_offset = -(-header_end // alignment) * alignment
    if max(parameter_count, data_offset + data_size_bytes) > _SIZE_LIMIT:
        raise GgufError("The tensors have an impossible size: the header is damaged.")
    return Header(
        version=version,
        metadata=metadata,
        tensor_count=tensor_count,
        parameter_count=parameter_count,
        alignment=alignment,
        data_offset=data_offset,
        end=data_offset + data_size_bytes if tensor_count else header_end,
        size_bytes=size_bytes,
    )


def _version(reader: ForwardReader, size_bytes: int) -> int:
    if size_bytes == 0:
        raise GgufError("The file is empty.", cut_short=True)
    magic = reader.take(min(len(MAGIC), size_bytes))
    if not MAGIC.startswith(magic):
        raise GgufError("The file does not begin with the letters GGUF: it is no GGUF file.")
    version = reader.u32()
    if version in (2, 3):
        return version
    if int.from_bytes(version.to_bytes(4, "little"), "big") in (2, 3):
        raise GgufError("The file is big-endian: it was made for another kind of processor.")
    if version == 1:
        raise GgufError("The file has GGUF version 1, which llama.cpp no longer reads.")
    raise GgufError(f"The file says GGUF version {version}; only 2 and 3 are known.")


def _check_count(reader: ForwardReader, count: int, what: str, least_bytes: int) -> None:
    if count * least_bytes > reader.remaining:
        raise GgufError(
            f"The header announces {count:,} {what}, more than fit in the file: is it cut short "
            "or damaged?",
            cut_short=True,
        )


def _alignment(metadata: dict[str, MetadataValue]) -> int:
    value = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1 or value & (value - 1):
        raise GgufError(f"general.alignment has to be a power of two, not {reprlib.repr(value)}.")
    return value


def _tensor(reader: ForwardReader) -> tuple[int, int]:
    """How many numbers the next tensor holds, and where it ends, counted from the data offset."""
    name_bytes = reader.u64()
    if name_bytes > _TENSOR_NAME_LIMIT_BYTES:
        raise GgufError(f"The header holds a tensor name of {name_bytes:,} bytes: it is damaged.")
    raw_name = reader.take(name_bytes)
    dimension_count = reader.u32()
    if dimension_count > _DIMENSIONS_LIMIT:
        name = reprlib.repr(raw_name.decode(errors="replace"))
        raise GgufError(f"The tensor {name} has {dimension_count:,} dimensions: it is damaged.")
    *sizes, kind, offset = reader.unpack(_TENSOR_LAYOUTS[dimension_count])
    numbers = math.prod(sizes)
    block_numbers, block_bytes = BLOCKS.get(kind, (1, 0))
    return numbers, offset + numbers * block_bytes // block_numbers
