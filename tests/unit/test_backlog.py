from __future__ import annotations

import asyncio
from typing import Any

import pytest
from engineio import packet as engineio_packet

from common.api import logs, metrics, models, system
from common.api.base import Event, Struct
from common.api.logs import LogEntry, NewEntry
from common.api.metrics import Cpu, LlamaMetrics, Metrics, Space, System
from common.api.models import ModelMoved
from common.api.system import ClientId
from gateway import backlog
from gateway.backlog import Backlog
from gateway.told import EventPacket, Told

NAMESPACE = "/llamaproxws"


def packet(event: Event[Any], payload: Struct, namespace: str = NAMESPACE) -> EventPacket:
    return Told(event, payload).packet(namespace)


def state(model_id: str = "qwen") -> EventPacket:
    return packet(models.LOADED, ModelMoved(model_id=model_id))


def line(message: str, namespace: str = NAMESPACE) -> EventPacket:
    entry = LogEntry(timestamp="", level="info", source="test", message=message)
    return packet(logs.ENTRY, NewEntry(entry=entry), namespace)


def figures(usage: float, namespace: str = NAMESPACE) -> EventPacket:
    space = Space(used=1, total=2)
    taken = Metrics(
        system=System(cpu=Cpu(usage=usage, cores=1), memory=space, disk=space),
        llama=LlamaMetrics(active_connections=0, requests_processed=0, average_response_time=0),
        gpu=(),
        timestamp="",
        hosts=(),
    )
    return packet(metrics.UPDATE, taken, namespace)


def answer(text: str = "430[]") -> Any:
    return engineio_packet.Packet(engineio_packet.MESSAGE, text)


def read_all(waiting: Backlog) -> list[str]:
    """What a client that begins to read gets, as text; every packet is counted as sent."""
    texts = []
    while not waiting.empty():
        texts.append(waiting.get_nowait().data)
        waiting.task_done()
    return texts


def test_a_packet_is_socketio_text_and_encoded_once_per_namespace() -> None:
    told = Told(system.CONNECTED, ClientId(client_id="a"))
    assert told.packet("/").data == '2["client:connected",{"clientId":"a"}]'
    assert told.packet(NAMESPACE).data == '2/llamaproxws,["client:connected",{"clientId":"a"}]'
    assert told.packet(NAMESPACE) is told.packet(NAMESPACE)


async def test_of_metrics_only_the_newest_waits_in_each_namespace() -> None:
    waiting = Backlog()
    for usage in range(100):
        assert waiting.offer(figures(usage))
    waiting.offer(figures(7, "/"))
    assert waiting.qsize() == 2
    newest, other = read_all(waiting)
    assert '"usage":99' in newest
    assert '"usage":7' in other
    async with asyncio.timeout(5):
        await waiting.join()


async def test_the_oldest_log_lines_are_dropped_and_their_number_is_told_first() -> None:
    waiting = Backlog()
    for number in range(backlog.MAX_LOG_ENTRIES + 10):
        assert waiting.offer(line(f"line {number}"))
    told, first, *_, last = read_all(waiting)
    assert told == '2/llamaproxws,["logs:dropped",{"count":10}]'
    assert "line 10" in first
    assert f"line {backlog.MAX_LOG_ENTRIES + 9}" in last
    waiting.offer(line("again"))
    assert len(read_all(waiting)) == 1
    async with asyncio.timeout(5):
        await waiting.join()


async def test_log_lines_are_bounded_by_their_length_too() -> None:
    waiting = Backlog()
    for _ in range(20):
        waiting.offer(line("x" * (backlog.MAX_LOG_CHARACTERS // 4)))
    waiting.offer(line("y" * 2 * backlog.MAX_LOG_CHARACTERS))
    told, only = read_all(waiting)
    assert told.endswith('{"count":20}]')
    assert "yyyy" in only


async def test_lines_that_never_came_this_far_are_told_with_those_that_were_dropped() -> None:
    waiting = Backlog()
    waiting.lose("/", 5)
    waiting.lose("/", 6)
    assert read_all(waiting) == ['2["logs:dropped",{"count":11}]']
    async with asyncio.timeout(5):
        await waiting.join()


async def test_state_is_kept_in_order_with_answers_and_ahead_of_the_rest() -> None:
    waiting = Backlog()
    waiting.offer(line("a line"))
    waiting.offer(figures(1))
    waiting.offer(state("first"))
    await waiting.put(answer("an answer"))
    waiting.offer(state("second"))
    texts = read_all(waiting)
    for text, part in zip(
        texts, ("first", "an answer", "second", "metrics:update", "a line"), strict=True
    ):
        assert part in text


async def test_a_client_for_which_too_many_events_of_state_wait_has_to_go() -> None:
    waiting = Backlog()
    for _ in range(backlog.MAX_STATE_EVENTS):
        assert waiting.offer(state())
    assert not waiting.offer(state())
    assert waiting.offer(figures(1))
    waiting.get_nowait()
    assert waiting.offer(state())


async def test_events_of_state_are_bounded_by_their_length_too() -> None:
    waiting = Backlog()
    accepted = 0
    while waiting.offer(state("x" * 100_000)):
        accepted += 1
    assert accepted == backlog.MAX_STATE_CHARACTERS // 100_000 + 1


async def test_there_is_room_while_few_answers_wait() -> None:
    waiting = Backlog()
    for _ in range(3):
        await waiting.put(answer("x" * (backlog.MAX_ANSWER_CHARACTERS // 2)))
    assert not waiting.has_room
    reading = asyncio.create_task(waiting.room())
    await asyncio.sleep(0)
    assert not reading.done()
    waiting.get_nowait()
    async with asyncio.timeout(5):
        await reading
    assert waiting.has_room


async def test_events_leave_room_for_answers() -> None:
    waiting = Backlog()
    for _ in range(10):
        waiting.offer(state("x" * backlog.MAX_ANSWER_CHARACTERS))
    assert waiting.has_room


async def test_a_reader_is_woken_by_each_kind() -> None:
    for packet_ in (state(), figures(1), line("a"), answer()):
        waiting = Backlog()
        reading = asyncio.create_task(waiting.get())
        await asyncio.sleep(0)
        if isinstance(packet_, EventPacket):
            waiting.offer(packet_)
        else:
            waiting.put_nowait(packet_)
        async with asyncio.timeout(5):
            assert await reading is packet_


async def test_what_is_cleared_is_gone() -> None:
    waiting = Backlog()
    for packet_ in (state(), figures(1), line("a")):
        waiting.offer(packet_)
    await waiting.put(answer())
    waiting.lose("/", 1)
    waiting.clear()
    assert waiting.empty()
    async with asyncio.timeout(5):
        await waiting.join()
    with pytest.raises(asyncio.QueueEmpty):
        waiting.get_nowait()
