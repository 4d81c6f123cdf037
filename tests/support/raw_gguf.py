"""GGUF headers byte by byte, for tests of what no proper writer would write."""

from __future__ import annotations

import struct

import gguf

U8 = gguf.GGUFValueType.UINT8
U32 = gguf.GGUFValueType.UINT32
U64 = gguf.GGUFValueType.UINT64
STRING = gguf.GGUFValueType.STRING
ARRAY = gguf.GGUFValueType.ARRAY


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def entry(key: str, kind: gguf.GGUFValueType, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def array(kind: int, length: int, elements: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, length) + elements


def tensor(name: str, shape: list[int], kind: int = 0, offset: int = 0) -> bytes:
    layout = f"<I{len(shape)}QIQ"
    return text(name) + struct.pack(layout, len(shape), *shape, kind, offset)


def head(entries: int = 0, tensors: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, entries)
