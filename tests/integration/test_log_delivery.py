from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from common import delivery as delivering
from common.api import logs
from common.api.logs import AppendLines, GetLogs, Level, Line, Logs
from common.bus import rpc
from common.bus.bus import Bus
from common.delivery import Delivery
from common.errors import InvalidRequest
from common.logging import LINES, RecordHandler
from tests.support.bus import Joiner
from tests.support.waiting import until
from workers.logs import store as storing
from workers.logs.__main__ import Log
from workers.logs.search import Search
from workers.logs.store import Store

START_S = 1_705_314_600.0  # 2024-01-15T10:30:00.000Z


def line(sequence: int, message: str = "", *, level: Level = "info", time: float = START_S) -> Line:
    return Line(
        sequence=sequence, time=time, level=level, source="test", message=message or str(sequence)
    )


def batch(*sequences: int, sender: str = "sender", epoch: int = 1, dropped: int = 0) -> AppendLines:
    return AppendLines(
        sender=sender, epoch=epoch, lines=tuple(map(line, sequences)), dropped=dropped
    )


class LogProcess:
    """The `logs` process on a database, which can go and come back."""

    def __init__(self, joiner: Joiner, path: Path) -> None:
        self._joiner = joiner
        self._path = path
        self.thread = ThreadPoolExecutor(1)
        self._running: tuple[Bus, Store, Search] | None = None

    async def start(self) -> None:
        bus, store = self._joiner.create("logs", "logs"), Store(self._path)
        search = Search(self._path)
        Log(bus, store, search, self.thread, self.thread)
        self._running = bus, store, search
        await self._joiner.start(bus)

    def break_database(self) -> None:
        """From now on nothing can be stored, as on a full disk."""
        assert self._running is not None
        _, store, _ = self._running
        self.thread.submit(store.close).result()

    async def stop(self) -> None:
        if self._running is not None:
            bus, store, search = self._running
            self._running = None
            await self._joiner.stop(bus)
            # There, since a batch may still be being written.
            for connection in (search, store):
                await asyncio.get_running_loop().run_in_executor(self.thread, connection.close)


@pytest.fixture
async def log_process(joiner: Joiner, tmp_path: Path) -> AsyncIterator[LogProcess]:
    process = LogProcess(joiner, tmp_path / "log.sqlite")
    yield process
    await process.stop()
    process.thread.shutdown()


class Sender:
    """A process that delivers lines and asks for them."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.delivery = Delivery(bus)
        self.heard: list[str] = []
        bus.listen(logs.ENTRY, lambda told: self.heard.append(told.entry.message))

    async def append(self, request: AppendLines) -> int:
        return (await self.bus.call("logs", logs.APPEND, request)).sequence

    async def get(self, **request: Any) -> Logs:
        return await self.bus.call("logs", logs.GET, GetLogs(**request))

    async def messages(self, **request: Any) -> list[str]:
        return [entry.message for entry in (await self.get(**request)).logs]


@pytest.fixture
async def sender(joiner: Joiner, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sender]:
    monkeypatch.setattr(delivering, "RETRY_PAUSE_S", 0.02)
    monkeypatch.setattr(rpc, "UNAVAILABLE_PATIENCE_S", 0.05)
    sender = Sender(joiner.create("sender"))
    await joiner.start(sender.bus)
    task = asyncio.create_task(sender.delivery.run())
    yield sender
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_lines_are_stored_and_published_in_order(
    log_process: LogProcess, sender: Sender
) -> None:
    await log_process.start()
    outbox = sender.delivery.open(LINES, "sender", 1)
    for sequence in range(1, 301):
        outbox.put([line(sequence)])
    await until(lambda: outbox.empty)
    expected = [str(sequence) for sequence in range(1, 301)]
    assert await sender.messages(limit=1000) == expected
    await until(lambda: len(sender.heard) == 300)
    assert sender.heard == expected


async def test_senders_keep_their_own_order(log_process: LogProcess, sender: Sender) -> None:
    await log_process.start()
    outboxes = [sender.delivery.open(LINES, name, 1) for name in ("a", "b")]
    for sequence in range(1, 51):
        for outbox in outboxes:
            outbox.put([line(sequence, f"{outbox.sender} {sequence}")])
    await until(lambda: sender.delivery.empty)
    stored = await sender.messages(limit=1000)
    for name in ("a", "b"):
        own = [message for message in stored if message.startswith(name)]
        assert own == [f"{name} {sequence}" for sequence in range(1, 51)]


async def test_a_repeated_batch_is_stored_and_published_once(
    log_process: LogProcess, sender: Sender
) -> None:
    await log_process.start()
    assert await sender.append(batch(1, 2, 3)) == 3
    assert await sender.append(batch(1, 2, 3)) == 3
    assert await sender.append(batch(2, 3, 4)) == 4
    assert await sender.append(batch(1, 2)) == 4
    assert await sender.messages() == ["1", "2", "3", "4"]
    assert await sender.append(batch(5)) == 5
    await until(lambda: "5" in sender.heard)
    assert sender.heard == ["1", "2", "3", "4", "5"]


async def test_each_start_of_a_sender_counts_anew(log_process: LogProcess, sender: Sender) -> None:
    await log_process.start()
    await sender.append(batch(1, 2, epoch=1))
    await sender.append(batch(1, epoch=2))
    await sender.append(batch(1, 2, 3, epoch=1))
    assert await sender.messages() == ["1", "2", "1", "3"]


async def test_nothing_is_lost_while_logs_is_away(log_process: LogProcess, sender: Sender) -> None:
    outbox = sender.delivery.open(LINES, "sender", 1)
    outbox.put([line(1), line(2)])
    await log_process.start()
    await until(lambda: outbox.empty)
    await log_process.stop()
    for sequence in range(3, 3003):
        outbox.put([line(sequence)])
    await log_process.start()
    await until(lambda: outbox.empty)
    assert await sender.messages(limit=10_000) == [str(number) for number in range(1, 3003)]


async def test_what_was_stored_before_a_restart_is_not_stored_again(
    log_process: LogProcess, sender: Sender
) -> None:
    await log_process.start()
    await sender.append(batch(1, 2))
    await log_process.stop()
    await log_process.start()
    assert await sender.append(batch(1, 2, 3)) == 3
    assert await sender.messages() == ["1", "2", "3"]


async def test_what_is_over_the_bound_is_lost_and_a_line_says_so(
    log_process: LogProcess, sender: Sender
) -> None:
    outbox = sender.delivery.open(replace(LINES, max_kept=10), "sender", 1)
    outbox.put(map(line, range(1, 26)))
    await log_process.start()
    await until(lambda: outbox.empty)
    told, *rest = (await sender.get()).logs
    assert (told.level, told.source) == ("warn", "sender")
    assert told.message.startswith("15 lines ")
    assert [entry.message for entry in rest] == [str(number) for number in range(16, 26)]
    outbox.put([line(26)])
    await until(lambda: outbox.empty)
    assert (await sender.messages())[-2:] == ["25", "26"]


async def test_a_loss_is_told_once_though_its_batch_is_repeated(
    log_process: LogProcess, sender: Sender
) -> None:
    await log_process.start()
    for _ in range(2):
        assert await sender.append(batch(5, 6, dropped=4)) == 6
    assert len(await sender.messages()) == 3


async def test_the_lines_of_an_engine_are_numbered_by_their_place_in_its_output(
    log_process: LogProcess, sender: Sender
) -> None:
    await log_process.start()
    engine = "engine:abc"
    assert await sender.append(batch(0, 17, 40, sender=engine, epoch=0)) == 40
    # A runner that took over reads some lines again, cut into other batches.
    assert await sender.append(batch(17, sender=engine, epoch=0)) == 40
    assert await sender.append(batch(40, 81, sender=engine, epoch=0)) == 81
    assert await sender.messages() == ["0", "17", "40", "81"]
    outbox = sender.delivery.open(replace(LINES, max_kept=2), engine, 0)
    outbox.put([line(100), line(120), line(150)])
    await until(lambda: outbox.empty)
    assert (await sender.messages())[-2:] == ["120", "150"]
    assert "1 lines " in (await sender.messages())[-3]


class TestGet:
    @pytest.fixture(autouse=True)
    async def filled(self, log_process: LogProcess, sender: Sender) -> None:
        await log_process.start()
        levels: tuple[Level, ...] = ("debug", "info", "warn", "error")
        lines = tuple(
            line(number, f"{level} {number}", level=level, time=START_S + number)
            for number, level in enumerate(levels * 3)
        )
        await sender.append(AppendLines(sender="s", epoch=1, lines=lines))

    @pytest.mark.parametrize(
        ("level", "given_levels", "total"),
        [
            ("debug", {"debug", "info", "warn", "error"}, 12),
            ("info", {"info", "warn", "error"}, 9),
            ("warn", {"warn", "error"}, 6),
            ("error", {"error"}, 3),
        ],
    )
    async def test_a_level_means_that_level_and_above(
        self, sender: Sender, level: Level, given_levels: set[str], total: int
    ) -> None:
        found = await sender.get(level=level)
        assert {entry.level for entry in found.logs} == given_levels
        assert (len(found.logs), found.total) == (total, total)

    async def test_a_limit_gives_the_newest_newest_last_and_the_total_of_all(
        self, sender: Sender
    ) -> None:
        found = await sender.get(level="warn", limit=2)
        assert [entry.message for entry in found.logs] == ["warn 10", "error 11"]
        assert found.total == 6

    async def test_since_means_after(self, sender: Sender) -> None:
        found = await sender.get(since="2024-01-15T10:30:09.000Z")
        assert [entry.message for entry in found.logs] == ["warn 10", "error 11"]
        assert found.total == 2
        assert (await sender.get(since="2024-01-15T11:30:10+01:00")).total == 1
        assert await sender.get(since="2025-01-01") == Logs(logs=(), total=0)

    async def test_an_entry_has_the_form_that_clients_see(self, sender: Sender) -> None:
        (entry,) = (await sender.get(limit=1)).logs
        assert entry == logs.LogEntry(
            id=12,
            timestamp="2024-01-15T10:30:11.000Z",
            level="error",
            source="test",
            message="error 11",
        )

    @pytest.mark.parametrize("time", [START_S + 100.0004, START_S + 100.1239996, 1_799_999_999.9])
    async def test_since_an_entrys_own_time_does_not_give_it_again(
        self, sender: Sender, time: float
    ) -> None:
        await sender.append(AppendLines(sender="t", epoch=1, lines=(line(1, "last", time=time),)))
        (entry,) = (await sender.get(limit=1)).logs
        assert entry.message == "last"
        assert (await sender.get(since=entry.timestamp)).total == 0

    @pytest.mark.parametrize("since", ["yesterday", "", "2024-13-01"])
    async def test_a_bad_since_is_an_invalid_request(self, sender: Sender, since: str) -> None:
        with pytest.raises(InvalidRequest, match="since"):
            await sender.get(since=since)

    @pytest.mark.parametrize("request_fields", [{"limit": 0}, {"limit": 10_001}, {"level": "all"}])
    async def test_what_is_out_of_range_is_an_invalid_request(
        self, sender: Sender, request_fields: dict[str, Any]
    ) -> None:
        (field,) = request_fields
        with pytest.raises(InvalidRequest, match=field):
            await sender.get(**request_fields)


async def test_the_log_has_a_bound(
    log_process: LogProcess, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "MAX_LINES", 5)
    await log_process.start()
    await sender.append(batch(*range(1, 9)))
    await sender.append(batch(9))
    found = await sender.get()
    assert [entry.message for entry in found.logs] == ["5", "6", "7", "8", "9"]
    assert found.total == 5


class TestRecords:
    """What a process logs, through `logging`."""

    @pytest.fixture
    async def logger(
        self, log_process: LogProcess, sender: Sender
    ) -> AsyncIterator[logging.Logger]:
        await log_process.start()
        logger = logging.Logger("a process")
        logger.addHandler(RecordHandler(sender.delivery, "runner-0@host", 7))
        yield logger
        logger.handlers.clear()

    async def test_records_become_lines(self, logger: logging.Logger, sender: Sender) -> None:
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, 45, 5):
            logger.log(level, "level %d", level)
        await until(lambda: sender.delivery.empty)
        found = (await sender.get()).logs
        assert [(entry.level, entry.message) for entry in found] == [
            ("debug", "level 10"),
            ("info", "level 20"),
            ("warn", "level 30"),
            ("error", "level 40"),
            ("error", "level 45"),
            ("debug", "level 5"),
        ]
        assert {entry.source for entry in found} == {"runner-0@host"}

    async def test_a_traceback_is_part_of_its_line(
        self, logger: logging.Logger, sender: Sender
    ) -> None:
        try:
            int("a mistake")
        except ValueError:
            logger.exception("it failed")
        await until(lambda: sender.delivery.empty)
        (message,) = await sender.messages()
        assert message.startswith("it failed\nTraceback")
        assert message.endswith("'a mistake'")

    async def test_odd_characters_of_a_client_do_not_stop_the_log(
        self, logger: logging.Logger, sender: Sender
    ) -> None:
        logger.warning("there is no model '%s'", "\ud800")
        logger.info("next")
        await until(lambda: sender.delivery.empty)
        assert await sender.messages() == ["there is no model '\\ud800'", "next"]

    async def test_records_of_other_threads_arrive(
        self, logger: logging.Logger, sender: Sender
    ) -> None:
        await asyncio.gather(*(asyncio.to_thread(logger.info, "%d", n) for n in range(100)))
        await until(lambda: sender.delivery.empty)
        assert {int(message) for message in await sender.messages()} == set(range(100))


async def test_a_closed_outbox_is_delivered_first(log_process: LogProcess, sender: Sender) -> None:
    first = sender.delivery.open(LINES, "runner", 1)
    first.put([line(1, "first")])
    first.close()
    second = sender.delivery.open(LINES, "runner", 2)
    second.put([line(1, "second")])
    await log_process.start()
    await until(lambda: sender.delivery.empty)
    assert await sender.messages() == ["first", "second"]
    second.put([line(2, "still open")])
    await until(lambda: second.empty)
    assert (await sender.messages())[-1] == "still open"
    # Engines come and go; what they have closed is not kept.
    kept = weakref.ref(first)
    del first
    await until(lambda: kept() is None)


async def test_the_last_lines_are_delivered_before_the_end(
    log_process: LogProcess, joiner: Joiner, sender: Sender, capsys: pytest.CaptureFixture[str]
) -> None:
    await log_process.start()
    bus = joiner.create("leaving")
    leaving = Delivery(bus)
    await joiner.start(bus)
    leaving.open(LINES, "leaving", 1).put(map(line, range(1, 5001)))
    await leaving.finish()
    assert leaving.empty
    assert (await sender.get(limit=1)).total == 5000
    assert capsys.readouterr().err == ""


async def test_lines_that_cannot_be_delivered_before_the_end_are_spoken_of(
    log_process: LogProcess, sender: Sender, capsys: pytest.CaptureFixture[str]
) -> None:
    await log_process.start()
    log_process.break_database()
    outbox = sender.delivery.open(LINES, "sender", 1)
    outbox.put([line(1)])
    await sender.delivery.finish()
    assert "could not be delivered" in capsys.readouterr().err


async def test_lines_are_kept_while_they_cannot_be_stored(
    log_process: LogProcess, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    await log_process.start()
    log_process.break_database()
    outbox = sender.delivery.open(LINES, "sender", 1)
    outbox.put([line(1)])
    await until(lambda: "logs:append failed" in caplog.text)
    assert not outbox.empty
    await log_process.stop()
    await log_process.start()
    await until(lambda: outbox.empty)
    assert await sender.messages() == ["1"]
