"""Reads forward through the head of a file that may be damaged, hostile, or still being written.

It reads blocks with `pread` and not a memory map: when another process truncates a mapped file, the
next look at the lost pages kills the reader with SIGBUS, whereas a short read is an error like any
other.
"""

from __future__ import annotations

import operator
import os
import struct
from itertools import repeat
from typing import Any

WINDOW_BYTES = 256 * 1024
HEAD_LIMIT_BYTES = 32 * 1024 * 1024
"""Refused beyond; the largest vocabularies published (260 k tokens with merges) need 16 MB."""
WORK_LIMIT_STEPS = 1_000_000
"""What reading one header may take. A step is what stepping over one string takes, some 50 ns; the
same vocabularies hold 0.8 million strings. Counted and not timed: the same file always ends alike.
"""
DECODED_BYTES_PER_STEP = 8

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


class GgufError(Exception):
    """The file is not a GGUF file that an engine could load. The message says why in a sentence.

    `cut_short`: what there is looks right, but the file ends too early, as it does while it is
    still being copied.
    """

    def __init__(self, message: str, *, cut_short: bool = False) -> None:
        super().__init__(message)
        self.cut_short = cut_short


class ForwardReader:
    """A position in the open file `fd`, which only moves forward, and the block around it.

    Every method raises `GgufError` where the file ends first, and `OSError` where it cannot be
    read. `size_bytes` is the size of the file when it was opened.
    """

    def __init__(self, fd: int, size_bytes: int, window_bytes: int = WINDOW_BYTES) -> None:
        self._fd = fd
        self._size_bytes = size_bytes
        self._window_bytes = window_bytes
        self._window = b""
        self._window_start = 0
        self._at = 0
        self._steps_left = WORK_LIMIT_STEPS

    @property
    def position(self) -> int:
        """Offset in the file of the next byte to read."""
        return self._window_start + self._at

    @property
    def remaining(self) -> int:
        """Bytes from the position to the end of the file."""
        return self._size_bytes - self.position

    def spend(self, steps: int, what: str) -> None:
        """Counts work before it is done; raises `GgufError` where `what` is too much of it."""
        self._steps_left -= steps
        if self._steps_left < 0:
            raise GgufError(f"The header holds {what}: that is more than any model needs.")

    def u32(self) -> int:
        """The next unsigned 32-bit number."""
        return int(self.unpack(_U32)[0])

    def u64(self) -> int:
        """The next unsigned 64-bit number."""
        return int(self.unpack(_U64)[0])

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        """The next values, as `layout` says."""
        self._require(layout.size)
        values = layout.unpack_from(self._window, self._at)
        self._at += layout.size
        return values

    def take(self, size_bytes: int) -> bytes:
        """The next `size_bytes` bytes."""
        self._require(size_bytes)
        taken = self._window[self._at : self._at + size_bytes]
        self._at += size_bytes
        return taken

    def text(self, size_bytes: int) -> str:
        """The next `size_bytes` bytes as text; what is no UTF-8 becomes U+FFFD."""
        raw = self.take(size_bytes)
        self.spend(size_bytes // DECODED_BYTES_PER_STEP, f"a text of {size_bytes:,} bytes")
        return raw.decode(errors="replace")

    def skip(self, size_bytes: int) -> None:
        """Steps over `size_bytes` bytes without reading them."""
        self._check_end(self.position + size_bytes)
        self._at += size_bytes

    def skip_strings(self, count: int) -> None:
        """Steps over `count` strings, each a 64-bit length and its bytes."""
        self._check_end(self.position + count * _U64.size)
        self.spend(count, f"an array of {count:,} strings")
        length_at, left = _U64.unpack_from, count
        while left:
            self._require(_U64.size)
            window, at = self._window, self._at
            turns = repeat(None, left)
            # So bare because a vocabulary has hundreds of thousands of strings. The error comes
            # where the next length lies beyond the window, which is the end of nothing else.
            try:
                for _ in turns:
                    at += 8 + length_at(window, at)[0]
                left = 0
            except (struct.error, OverflowError):
                left = operator.length_hint(turns) + 1
            self._check_end(self._window_start + at)
            self._at = at

    def _require(self, size_bytes: int) -> None:
        """Makes the window hold the next `size_bytes` bytes."""
        if self._at + size_bytes <= len(self._window):
            return
        start = self.position
        self._check_end(start + size_bytes)
        window = _read(self._fd, max(size_bytes, self._window_bytes), start)
        if len(window) < size_bytes:
            raise GgufError(
                "The file became shorter while it was being read: is it still being written?",
                cut_short=True,
            )
        self._window, self._window_start, self._at = window, start, 0

    def _check_end(self, end: int) -> None:
        if end > self._size_bytes:
            raise GgufError(
                f"The file ends at byte {self._size_bytes:,} but its header goes on to byte "
                f"{end:,} at least: is it cut short or damaged?",
                cut_short=True,
            )
        if end > HEAD_LIMIT_BYTES:
            raise GgufError(f"The header is longer than {HEAD_LIMIT_BYTES:,} bytes.")


def _read(fd: int, size_bytes: int, start: int) -> bytes:
    """Up to `size_bytes` from `start`: less at the end of the file only, whatever pread returns."""
    parts: list[bytes] = []
    while size_bytes:
        part = os.pread(fd, size_bytes, start)
        if not part:
            break
        parts.append(part)
        size_bytes -= len(part)
        start += len(part)
    return b"".join(parts)
