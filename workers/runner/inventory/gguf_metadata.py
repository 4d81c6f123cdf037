"""Reads the key-value part of a GGUF header, keeping what is short and stepping over the rest."""

from __future__ import annotations

import reprlib
import struct
from dataclasses import dataclass
from typing import TypeAlias

from workers.runner.inventory.gguf_bytes import ForwardReader, GgufError
from workers.runner.inventory.gguf_constants import VALUE_TYPES

KEPT_ARRAY_LENGTH = 1024
"""Arrays of at most so many numbers are kept: they hold one number per layer, say."""
KEPT_BYTES = 1024 * 1024
"""Texts and numbers kept of one file, and keys; the longest chat templates have some 50 kB."""

_KEY_LIMIT_BYTES = 65_535
_KEY_STEPS = 60
_LAYOUTS = {
    "UINT8": struct.Struct("<B"),
    "INT8": struct.Struct("<b"),
    "UINT16": struct.Struct("<H"),
    "INT16": struct.Struct("<h"),
    "UINT32": struct.Struct("<I"),
    "INT32": struct.Struct("<i"),
    "FLOAT32": struct.Struct("<f"),
    "BOOL": struct.Struct("<?"),
    "UINT64": struct.Struct("<Q"),
    "INT64": struct.Struct("<q"),
    "FLOAT64": struct.Struct("<d"),
}


@dataclass(frozen=True, slots=True)
class ArrayInfo:
    """An array whose contents were not kept: `element_type` by GGUF's name, such as STRING.

    A text that exceeds what is kept of one file is an array of UINT8 here.
    """

    element_type: str
    length: int


Scalar: TypeAlias = bool | int | float
MetadataValue: TypeAlias = Scalar | str | tuple[Scalar, ...] | ArrayInfo


def read_metadata(reader: ForwardReader, key_count: int) -> dict[str, MetadataValue]:
    """The next `key_count` keys and their values, in the file's order; raises `GgufError`."""
    reader.spend(key_count * _KEY_STEPS, f"{key_count:,} keys")
    return _Metadata(reader).read(key_count)


class _Metadata:
    """The values read so far, and how much more may be kept."""

    def __init__(self, reader: ForwardReader) -> None:
        self._reader = reader
        self._budget_bytes = KEPT_BYTES

    def read(self, key_count: int) -> dict[str, MetadataValue]:
        values: dict[str, MetadataValue] = {}
        key_bytes = 0
        for _ in range(key_count):
            key = self._key()
            if key in values:
                raise GgufError(f"The key {reprlib.repr(key)} occurs twice in the header.")
            key_bytes += len(key)
            if key_bytes > KEPT_BYTES:
                raise GgufError(f"The keys of the header exceed {KEPT_BYTES:,} bytes.")
            values[key] = self._value(key)
        return values

    def _key(self) -> str:
        size_bytes = self._reader.u64()
        if size_bytes > _KEY_LIMIT_BYTES:
            raise GgufError(f"The header holds a key of {size_bytes:,} bytes: it is damaged.")
        return self._reader.text(size_bytes)

    def _value(self, key: str) -> MetadataValue:
        kind = self._kind(key)
        if kind == "STRING":
            return self._text()
        if kind == "ARRAY":
            return self._array(key)
        scalar: Scalar = self._reader.unpack(_LAYOUTS[kind])[0]
        return scalar

    def _kind(self, key: str) -> str:
        number = self._reader.u32()
        kind = VALUE_TYPES.get(number, "")
        if kind not in _LAYOUTS and kind not in ("STRING", "ARRAY"):
            raise GgufError(
                f"The key {reprlib.repr(key)} has a value of an unknown type, {number}."
            )
        return kind

    def _text(self) -> str | ArrayInfo:
        size_bytes = self._reader.u64()
        if size_bytes <= self._reader.remaining and not self._keep(size_bytes):
            self._reader.skip(size_bytes)
            return ArrayInfo("UINT8", size_bytes)
        return self._reader.text(size_bytes)

    def _array(self, key: str) -> tuple[Scalar, ...] | ArrayInfo:
        kind = self._kind(key)
        length = self._reader.u64()
        if kind == "STRING":
            self._reader.skip_strings(length)
            return ArrayInfo(kind, length)
        layout = _LAYOUTS.get(kind)
        if layout is None:
            raise GgufError(f"The key {reprlib.repr(key)} is an array of arrays.")
        # A number of Python's takes about 32 bytes, whatever it took in the file.
        if length <= KEPT_ARRAY_LENGTH and self._keep(length * 32):
            return self._reader.unpack(struct.Struct(f"<{length}{layout.format[1:]}"))
        self._reader.skip(length * layout.size)
        return ArrayInfo(kind, length)

    def _keep(self, size_bytes: int) -> bool:
        if size_bytes > self._budget_bytes:
            return False
        self._budget_bytes -= size_bytes
        return True
