"""What an engine writes, line by line, from the append-only file that its output goes to.

The engine never waits for a reader: it writes to a file, and a runner may come and go. A line's
identity is the byte offset at which it starts in all that was ever written, so whoever reads it
again gives it the same one.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import os
import re
from pathlib import Path
from typing import Literal, NamedTuple

from workers.runner.output_space import CUT_BYTES, NoteStart, PunchHole, empty, punch_hole

logger = logging.getLogger(__name__)

Level = Literal["debug", "info", "warn", "error"]

MAX_LINE_BYTES = 16 * 1024
CUT_MARK = " … [line cut at 16 KiB]"

_POLL_INTERVAL_S = 0.075
_READ_BYTES = 64 * 1024  # some hundred lines: about a millisecond of work between two awaits
_LINES_KEPT = 200

_FREE_STEP_BYTES = 4 * 1024 * 1024
_BLOCK_BYTES = 4096  # freeing part of a block would overwrite it with zeros

# llama.cpp's prefix: minutes.seconds.milliseconds.microseconds since its start, then the level.
_PREFIX = re.compile(r"^\d+\.\d\d\.\d\d\d\.\d\d\d ([DIWE]) ")
_LEVELS: dict[str, Level] = {"D": "debug", "I": "info", "W": "warn", "E": "error"}


class Line(NamedTuple):
    """One line of output, without its end; `offset` is where it starts, in bytes: in the file, or
    where that has been emptied, in all that was ever written to it."""

    offset: int
    text: str


def level_of(text: str) -> Level:
    """How serious a line is: by llama.cpp's prefix; lines that have none are information."""
    match = _PREFIX.match(text)
    return _LEVELS[match[1]] if match else "info"


def message_of(text: str) -> str:
    """A line without llama.cpp's prefix; as it is if it has none."""
    return _PREFIX.sub("", text, count=1)


class LineSplitter:
    """Cuts a stream of bytes into lines; knows no file.

    A line ends with a newline. Of what a carriage return overwrote, only the last state is kept, as
    on a terminal. Bytes that are not UTF-8 become U+FFFD. With `mid_line` the stream begins inside
    a line, of which nothing is given out.
    """

    def __init__(self, offset: int, *, mid_line: bool = False) -> None:
        self._offset = offset  # of the unfinished line
        self._kept = b""  # of the unfinished line, at most MAX_LINE_BYTES
        self._length = 0  # of the unfinished line
        self._mid_line = mid_line

    def feed(self, data: bytes) -> list[Line]:
        """The lines that these bytes complete."""
        *complete, rest = data.split(b"\n")
        lines = []
        for piece in complete:
            self._append(piece)
            lines.append(self._line())
            self._offset += self._length + 1
            self._kept, self._length = b"", 0
        self._append(rest)
        if lines and self._mid_line:
            self._mid_line = False
            del lines[0]
        return lines

    def flush(self) -> list[Line]:
        """The unfinished last line, if there is one; nothing may be fed after this."""
        return [self._line()] if self._length and not self._mid_line else []

    @property
    def mid_line(self) -> bool:
        """Whether the bytes so far end within a line."""
        return self._mid_line or self._length > 0

    def _append(self, piece: bytes) -> None:
        self._kept += piece[: MAX_LINE_BYTES - len(self._kept)]
        self._length += len(piece)

    def _line(self) -> Line:
        visible = self._kept.rstrip(b"\r").rpartition(b"\r")[2]
        mark = CUT_MARK if self._length > len(self._kept) else ""
        return Line(self._offset, visible.decode(errors="replace") + mark)


class OutputFollower:
    """Follows an output file: `async for lines in follower` yields lists of lines, oldest first,
    and an empty one now and then while nothing comes and there is something to `free`.

    It ends when `finish` has been called and everything is read. `offset` is where to begin: just
    behind the last line that is safely stored elsewhere, or at the file's `start`: so many bytes
    were cut off before it. `note` writes down a new start; without it the file is never emptied.
    A cancelled wait loses nothing.
    """

    def __init__(
        self,
        path: Path,
        offset: int = 0,
        *,
        start: int = 0,
        note: NoteStart | None = None,
        punch: PunchHole = punch_hole,
    ) -> None:
        self._path = path
        self._start = start
        self._note = note
        self._punch = punch
        self._position = offset - start
        self._file: int | None = None
        self._splitter = LineSplitter(offset)
        self._newest: collections.deque[str] = collections.deque(maxlen=_LINES_KEPT)
        self._finishing = asyncio.Event()
        self._exhausted = False
        self._last_offset = offset
        self._freed_to = 0
        self._can_punch = True

    def __aiter__(self) -> OutputFollower:
        return self

    async def __anext__(self) -> list[Line]:
        while not self._exhausted:
            # Looked at before reading: what was written before the end is then certainly read.
            finishing = self._finishing.is_set()
            data = await self._read()
            lines = self._splitter.feed(data)
            if finishing and not data:
                lines += self._splitter.flush()
                self.close()
            if lines:
                self._newest.extend(line.text for line in lines)
                self._last_offset = lines[-1].offset
                return lines
            if not data and not finishing:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_INTERVAL_S):
                        await self._finishing.wait()
                if self._to_be_freed:
                    return []  # nothing came for a while: a good moment to `free`
        raise StopAsyncIteration

    def finish(self) -> None:
        """The engine has ended: read what is left, give out the unfinished last line, and end."""
        self._finishing.set()

    def last_lines(self, count: int) -> list[str]:
        """The newest of the lines given out, oldest first, at most 200: an excerpt for an error."""
        return list(self._newest)[-count:] if count > 0 else []

    async def free(self, stored: int) -> None:
        """Give back what holds lines that are safely stored elsewhere: up to that at `stored`.

        In steps of some MiB, as a hole. Where the file system refuses holes, the file is emptied
        when it has become large and everything in it is stored; until then it grows.
        """
        if self._can_punch:
            before = stored - self._start
            end = before - before % _BLOCK_BYTES
            if end - self._freed_to >= _FREE_STEP_BYTES:
                self._can_punch = await asyncio.to_thread(self._punch, self._path, end)
                self._freed_to = end
        elif self._to_be_emptied and stored >= self._last_offset and not self._splitter.mid_line:
            await self._empty()

    @property
    def _to_be_freed(self) -> bool:
        if self._can_punch:
            return self._position - self._freed_to >= _FREE_STEP_BYTES
        return self._to_be_emptied

    @property
    def _to_be_emptied(self) -> bool:
        return self._note is not None and not self._can_punch and self._position >= CUT_BYTES

    async def _empty(self) -> None:
        """Empty the file, should it hold nothing that was not read."""
        size = self._position
        try:
            if self._path.stat().st_size == size and self._write_down(self._start + size):
                if await asyncio.to_thread(empty, self._path, size):
                    self._begin_anew()
                else:
                    self._write_down(None)
        except OSError as error:
            logger.warning("%s cannot be emptied: %s", self._path, error)

    def _begin_anew(self) -> None:
        """The file was emptied; the engine appends at its new end."""
        self._start += self._position
        self._position = self._freed_to = 0
        self._splitter = LineSplitter(self._start)
        self._write_down(None)

    def _write_down(self, next_start: int | None) -> bool:
        """For a successor; following goes on where that fails, on a full disk, say."""
        if self._note is None:
            return False
        try:
            self._note(self._start, next_start)
        except OSError as error:
            logger.warning("where %s begins cannot be written down: %s", self._path, error)
            return False
        return True

    def close(self) -> None:
        """Close the file; the iteration ends. Done by itself where it ends by itself."""
        self._exhausted = True
        if self._file is not None:
            os.close(self._file)
            self._file = None

    async def _read(self) -> bytes:
        """The next bytes, up to 64 KiB; none if there are none yet."""
        if self._file is None:
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            self._skip_hole(self._file)
        size = os.fstat(self._file).st_size
        if size < self._position:
            self._begin_anew()  # it was somebody else
        if size == self._position:
            return b""
        data = await asyncio.to_thread(os.pread, self._file, _READ_BYTES, self._position)
        self._position += len(data)
        return data

    def _skip_hole(self, file: int) -> None:
        """Begin behind what was freed, should the place to begin be in there."""
        with contextlib.suppress(OSError):  # nothing but a hole or the end from here on
            data_start = os.lseek(file, self._position, os.SEEK_DATA)
            if data_start > self._position:
                self._position = data_start
                self._splitter = LineSplitter(self._start + data_start, mid_line=True)
