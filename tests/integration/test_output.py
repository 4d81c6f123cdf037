from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.api.logs import Line as LogLine
from common.delivery import Outbox
from common.logging import LINES
from tests.support.children import running
from tests.support.fake_llama_server import write_fake_llama_server
from tests.support.loops import on_both_loops
from tests.support.waiting import until
from workers.runner.engine_log import deliver
from workers.runner.listening import free_port
from workers.runner.output import (
    CUT_MARK,
    MAX_LINE_BYTES,
    Line,
    LineSplitter,
    OutputFollower,
    level_of,
    message_of,
)
from workers.runner.output_space import CUT_BYTES, empty, start_of

MIB = 1024 * 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "output.log"
    path.touch()
    return path


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


class Notes(list[tuple[int, int | None]]):
    """What a follower had written down."""

    def __call__(self, start: int, next_start: int | None) -> None:
        self.append((start, next_start))


def refuse(_path: Path, _end: int) -> bool:
    """A file system without holes."""
    return False


async def rest(follower: OutputFollower) -> list[Line]:
    """All that comes until the follower ends, which somebody must have told it to."""
    async with asyncio.timeout(20):
        return [line async for batch in follower for line in batch]


def split(*pieces: bytes) -> list[Line]:
    splitter = LineSplitter(0)
    return [line for piece in pieces for line in splitter.feed(piece)] + splitter.flush()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (b"", []),
        (b"a\nb\n", [Line(0, "a"), Line(2, "b")]),
        (b"a\n\nb", [Line(0, "a"), Line(2, ""), Line(3, "b")]),
        (b"a\r\nb\r\n", [Line(0, "a"), Line(3, "b")]),
        (b"10 %\r50 %\r100 %\r\nnext\n", [Line(0, "100 %"), Line(17, "next")]),
        ("ä€\n".encode() + b"\xff\xfe!\n", [Line(0, "ä€"), Line(6, "��!")]),
    ],
)
def test_lines(written: bytes, expected: list[Line]) -> None:
    assert split(written) == expected


def test_a_long_line_is_cut_and_marked() -> None:
    exact, long = b"x" * MAX_LINE_BYTES, b"y" * (3 * MAX_LINE_BYTES)
    first, second, third = split(exact + b"\n" + long[:100], long[100:] + b"\nz\n")
    assert first == Line(0, "x" * MAX_LINE_BYTES)
    assert second == Line(MAX_LINE_BYTES + 1, "y" * MAX_LINE_BYTES + CUT_MARK)
    assert third == Line(4 * MAX_LINE_BYTES + 2, "z")


@given(st.lists(st.binary(max_size=20) | st.sampled_from([b"\n", b"\r\n", b"\xe2\x82"])))
def test_lines_do_not_depend_on_how_the_bytes_arrive(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    lines = split(whole)
    assert split(*pieces) == lines
    for line in lines:
        assert line.offset == 0 or whole[line.offset - 1 : line.offset] == b"\n"


@on_both_loops
async def test_lines_come_as_they_are_written(path: Path) -> None:
    follower = OutputFollower(path)
    append(path, b"one\ntwo\nthr")
    assert await anext(follower) == [Line(0, "one"), Line(4, "two")]
    append(path, b"ee\nfo")
    assert await anext(follower) == [Line(8, "three")]
    append(path, b"ur")
    follower.finish()
    assert await rest(follower) == [Line(14, "four")]
    assert follower.last_lines(2) == ["three", "four"]
    assert follower.last_lines(0) == []
    follower.close()


async def test_finishing_wakes_a_follower_that_waits(path: Path) -> None:
    follower = OutputFollower(path)
    following = asyncio.create_task(rest(follower))
    await asyncio.sleep(0)
    append(path, b"last words")
    follower.finish()
    assert await following == [Line(0, "last words")]


async def test_a_successor_gives_lines_the_same_identity(path: Path) -> None:
    append(path, "eins\nzwei\ndrei\nfünf\n".encode())
    first = OutputFollower(path)
    first.finish()
    lines = await rest(first)
    successor = OutputFollower(path, offset=lines[2].offset)
    successor.finish()
    assert await rest(successor) == lines[2:]


async def test_a_cancelled_wait_loses_nothing(path: Path) -> None:
    written = b"".join(b"%d\n" % number for number in range(200_000))
    append(path, written)
    follower = OutputFollower(path)
    lines: list[Line] = []
    cancelled = 0
    while len(lines) < 200_000:
        waiting = asyncio.ensure_future(anext(follower))
        for _ in range(len(lines) % 3):
            await asyncio.sleep(0)
        if waiting.cancel():
            cancelled += 1
            await asyncio.wait([waiting])
        if waiting.cancelled():
            lines += await anext(follower)
        else:
            lines += waiting.result()
    assert cancelled > 10
    assert [line.text for line in lines] == [str(number) for number in range(200_000)]
    follower.close()


async def test_a_batch_is_bounded(path: Path) -> None:
    append(path, b"x" * 99 * 1024 + b"\n" + b"\n" * MIB)
    follower = OutputFollower(path)
    follower.finish()
    sizes = [len(batch) async for batch in follower]
    assert sum(sizes) == MIB + 1
    assert max(sizes) <= 64 * 1024


async def test_a_file_that_was_emptied_is_read_from_its_start_and_its_lines_count_on(
    path: Path,
) -> None:
    noted = Notes()
    follower = OutputFollower(path, note=noted)
    append(path, b"before\nhalf")
    assert await anext(follower) == [Line(0, "before")]
    os.truncate(path, 0)
    append(path, b"new\n")
    assert await anext(follower) == [Line(11, "new")]
    assert noted == [(11, None)]
    follower.close()


async def test_what_is_stored_elsewhere_is_freed(path: Path) -> None:
    line = b"x" * 1023 + b"\n"
    append(path, line * 8 * 1024)
    occupied = path.stat().st_blocks
    follower = OutputFollower(path)
    await follower.free(MIB)
    assert path.stat().st_blocks == occupied  # too little to bother
    await follower.free(6 * MIB + 512)
    if path.stat().st_blocks == occupied:
        pytest.skip("this file system cannot punch holes")
    assert path.stat().st_blocks <= occupied // 2
    assert path.stat().st_size == 8 * MIB
    assert path.read_bytes()[6 * MIB :] == line * 2 * 1024

    append(path, b"after\n")
    follower.finish()
    for reader in (follower, successor := OutputFollower(path)):
        successor.finish()
        lines = await rest(reader)
        # The line that the hole ends in is not given out, as its beginning may be gone.
        assert [at.offset for at in lines[:2]] == [6 * MIB + 1024, 6 * MIB + 2048]
        assert lines[-1] == Line(8 * MIB, "after")


async def test_a_hole_up_to_the_end_is_waited_out(path: Path) -> None:
    append(path, b"x" * (4 * MIB - 1) + b"\n")
    await OutputFollower(path).free(4 * MIB)
    follower = OutputFollower(path, offset=4 * MIB)
    append(path, b"new\n")
    assert await anext(follower) == [Line(4 * MIB, "new")]
    follower.close()


@pytest.fixture
async def large(path: Path) -> AsyncIterator[tuple[OutputFollower, Notes]]:
    """A follower of a large file without holes, which has given out its only line."""
    os.truncate(path, CUT_BYTES)
    append(path, b"old\n")
    noted = Notes()
    follower = OutputFollower(path, CUT_BYTES, note=noted, punch=refuse)
    assert await anext(follower) == [Line(CUT_BYTES, "old")]
    await follower.free(CUT_BYTES - 1)
    assert await anext(follower) == []
    yield follower, noted
    follower.close()


async def test_where_holes_are_refused_the_file_is_emptied_and_its_lines_count_on(
    path: Path, large: tuple[OutputFollower, Notes]
) -> None:
    follower, noted = large
    writer = os.open(path, os.O_WRONLY | os.O_APPEND)  # as engines write
    end = path.stat().st_size
    await follower.free(CUT_BYTES)
    assert path.stat().st_size == 0
    assert noted == [(0, end), (end, None)]
    os.write(writer, b"new\nnewer\n")
    os.close(writer)
    assert path.stat().st_size == len(b"new\nnewer\n")
    assert await anext(follower) == [Line(end, "new"), Line(end + 4, "newer")]
    successor = OutputFollower(path, end + 4, start=end)
    assert await anext(successor) == [Line(end + 4, "newer")]
    successor.close()


async def test_numbers_of_delivered_lines_grow_though_the_file_is_emptied(path: Path) -> None:
    os.truncate(path, CUT_BYTES)
    append(path, b"old\n")
    follower = OutputFollower(path, CUT_BYTES, note=Notes(), punch=refuse)
    outbox = Outbox(LINES, "engine:i", 0, lambda: None)
    stored: list[LogLine] = []

    def store_all() -> bool:
        """What the `logs` process does."""
        while (batch := outbox.batch()) is not None:
            stored.extend(batch.lines)
            outbox.acknowledge(batch.lines[-1].sequence, batch.dropped)
        return bool(stored)

    delivering = asyncio.create_task(deliver(follower, outbox, "qwen"))
    await until(store_all)
    await until(lambda: path.stat().st_size == 0)
    append(path, b"new\n")
    follower.finish()
    await delivering
    store_all()
    assert [(line.sequence, line.message) for line in stored] == [
        (CUT_BYTES, "old"),
        (CUT_BYTES + 4, "new"),
    ]


async def test_a_file_is_not_emptied_while_it_holds_what_is_not_stored(
    path: Path, large: tuple[OutputFollower, Notes]
) -> None:
    follower, noted = large
    end = path.stat().st_size
    await follower.free(CUT_BYTES - 1)  # the last line is not stored
    append(path, b"unread\n")
    await follower.free(CUT_BYTES)
    assert await anext(follower) == [Line(end, "unread")]
    await follower.free(CUT_BYTES)  # read, but not stored
    append(path, b"half a li")
    assert await anext(follower) == []
    await follower.free(end)
    append(path, b"ne\n")
    assert await anext(follower) == [Line(end + 7, "half a line")]
    assert noted == []
    await follower.free(end + 7)
    assert path.stat().st_size == 0


async def test_a_start_that_cannot_be_written_down_keeps_the_file_and_the_follower(
    path: Path,
) -> None:
    def full_disk(_start: int, _next_start: int | None) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    os.truncate(path, CUT_BYTES)
    append(path, b"old\n")
    follower = OutputFollower(path, CUT_BYTES, note=full_disk, punch=refuse)
    assert await anext(follower) == [Line(CUT_BYTES, "old")]
    for _ in range(2):
        await follower.free(CUT_BYTES)
    append(path, b"new\n")
    assert await anext(follower) == [Line(CUT_BYTES + 4, "new")]
    follower.close()


async def test_a_small_file_and_one_that_nobody_takes_note_of_are_left(path: Path) -> None:
    os.truncate(path, CUT_BYTES)
    append(path, b"old\n")
    follower = OutputFollower(path, CUT_BYTES, punch=refuse)
    assert await anext(follower) == [Line(CUT_BYTES, "old")]
    for _ in range(2):
        await follower.free(CUT_BYTES)
    assert path.stat().st_size == CUT_BYTES + 4
    follower.close()

    noted = Notes()
    os.truncate(path, CUT_BYTES - 100)
    append(path, b"old\n")
    follower = OutputFollower(path, CUT_BYTES - 100, note=noted, punch=refuse)
    assert await anext(follower) == [Line(CUT_BYTES - 100, "old")]
    for _ in range(2):
        await follower.free(CUT_BYTES - 100)
    assert (path.stat().st_size, noted) == (CUT_BYTES - 96, [])
    follower.close()


def test_a_file_that_grew_meanwhile_is_not_emptied(path: Path) -> None:
    append(path, b"12345")
    assert not empty(path, 4)
    assert path.read_bytes() == b"12345"
    assert empty(path, 5)
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    ("start", "next_start", "size", "expected"),
    [
        (0, None, 70, 0),
        (100, None, 0, 100),
        (0, 70, 70, 0),  # killed before it was emptied
        (0, 70, 75, 0),
        (0, 70, 0, 70),  # killed before that was written down
        (0, 70, 20, 70),
        (100, 170, 70, 100),
        (100, 170, 69, 170),
    ],
)
def test_a_successor_knows_where_the_file_begins(
    start: int, next_start: int | None, size: int, expected: int
) -> None:
    assert start_of(start, next_start, size) == expected


async def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await anext(OutputFollower(tmp_path / "absent"))


async def test_a_flood_is_followed_without_starving_others(path: Path, tmp_path: Path) -> None:
    program = write_fake_llama_server(tmp_path, log_lines_per_s=20_000)
    argv = [str(program), "-m", "m.gguf", "--port", str(free_port("127.0.0.1"))]
    follower = OutputFollower(path)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with running(argv, path) as child:
        working = asyncio.create_task(others())
        seen: list[Line] = []
        least_turns = []
        async with asyncio.timeout(60):
            while len(seen) < 20_000:
                before = turns
                seen += await anext(follower)
                least_turns.append(turns - before)
        await child.stop(grace_s=20)
        follower.finish()
        seen += await rest(follower)
        working.cancel()
    assert min(least_turns) >= 1
    flood = [line.text.partition("flood: ")[2] for line in seen if "flood: " in line.text]
    numbers = [int(text.split()[1]) for text in flood if len(text.split()) > 1]
    assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize(
    ("text", "level", "message"),
    [
        ("0.00.004.026 W srv   init: security", "warn", "srv   init: security"),
        ("0.00.004.026 I srv   init: x", "info", "srv   init: x"),
        ("0.00.004.026 E srv   init: x", "error", "srv   init: x"),
        ("1234.59.999.999 D que   pop: 0.00.004.026 E x", "debug", "que   pop: 0.00.004.026 E x"),
        ("0.00.004.026 X srv", "info", "0.00.004.026 X srv"),
        (" 0.00.004.026 E srv", "info", " 0.00.004.026 E srv"),
        ("error: invalid argument: --x", "info", "error: invalid argument: --x"),
        ("", "info", ""),
    ],
)
def test_levels(text: str, level: str, message: str) -> None:
    assert (level_of(text), message_of(text)) == (level, message)
