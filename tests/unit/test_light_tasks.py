"""Light tasks: where they run, and what a cancellation finds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import pytest

from gateway.light_tasks import LightTask, in_a_task, rounds_of, waiting

NAME: ContextVar[str] = ContextVar("name", default="nobody")


class Thing:
    """Something of ours that is waited for."""

    def __init__(self) -> None:
        self._reader: LightTask | asyncio.Future[None] | None = None

    def come(self) -> Awaitable[None]:
        light = waiting(self)
        if light is not None:
            self._reader, wait = light
            return wait
        self._reader = asyncio.get_running_loop().create_future()
        return self._reader

    def is_here(self) -> None:
        if isinstance(self._reader, LightTask):
            self._reader.has(self)
        elif self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class Run:
    """A coroutine in a light task, and what it has said."""

    def __init__(self, work: Callable[[Run], Awaitable[None]]) -> None:
        self.said: list[str] = []
        self.ends = 0
        self.thing = Thing()
        rounds = rounds_of(asyncio.get_running_loop())
        self.task = LightTask(self._work(work), rounds, self._over)

    async def _work(self, work: Callable[[Run], Awaitable[None]]) -> None:
        await work(self)

    def _over(self, task: LightTask) -> None:
        assert task is self.task
        self.ends += 1

    @property
    def done(self) -> bool:
        return self.ends == 1


async def rounds(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_it_goes_on_in_the_next_round_and_is_no_task_of_asyncios() -> None:
    async def work(run: Run) -> None:
        assert asyncio.current_task() is None
        run.said.append("begun")
        await run.thing.come()
        run.said.append("ended")

    tasks = asyncio.all_tasks()
    run = Run(work)
    assert run.said == []
    await rounds(1)
    assert asyncio.all_tasks() == tasks
    assert run.said == ["begun"]
    run.thing.is_here()
    run.thing.is_here()  # which changes nothing
    assert run.said == ["begun"]
    await rounds(1)
    assert run.said == ["begun", "ended"]
    assert run.done
    run.thing.is_here()  # and nobody waits
    await rounds()


async def test_all_that_can_go_on_do_so_together() -> None:
    order: list[str] = []

    async def work(run: Run) -> None:
        await run.thing.come()
        order.append("light")

    runs = [Run(work) for _ in range(3)]
    await rounds(1)
    for run in runs:
        run.thing.is_here()
        asyncio.get_running_loop().call_soon(order.append, "other")
    await rounds(1)
    assert order == ["light"] * 3 + ["other"] * 3


@pytest.mark.parametrize("handed_over", ["by a future", "by itself"])
async def test_it_becomes_a_task_where_it_has_to(handed_over: str) -> None:
    future = asyncio.get_running_loop().create_future()

    async def work(run: Run) -> None:
        await run.thing.come()
        if handed_over == "by a future":
            run.said.append(await future)
        else:
            await in_a_task()
        assert asyncio.current_task() not in (None, test)
        async with asyncio.timeout(5):
            await run.thing.come()
        run.said.append("ended")

    test = asyncio.current_task()
    run = Run(work)
    await rounds()
    run.thing.is_here()
    await rounds()
    future.set_result("told")
    await rounds()
    assert "ended" not in run.said
    run.thing.is_here()
    await rounds()
    assert run.done
    assert run.said[-1] == "ended"
    assert run.said[:-1] == (["told"] if handed_over == "by a future" else [])


async def test_a_future_that_fails_raises_where_it_is_awaited() -> None:
    future = asyncio.get_running_loop().create_future()

    async def work(run: Run) -> None:
        try:
            await future
        except ValueError as error:
            run.said.append(str(error))
        await run.thing.come()

    run = Run(work)
    await rounds()
    future.set_exception(ValueError("no"))
    await rounds()
    assert run.said == ["no"]
    run.thing.is_here()
    await rounds()
    assert run.done


@pytest.mark.parametrize("where", ["light", "task"])
async def test_a_cancellation_is_raised_where_it_waits(where: str) -> None:
    async def work(run: Run) -> None:
        if where == "task":
            await in_a_task()
        try:
            await run.thing.come()
        except asyncio.CancelledError:
            run.said.append(f"cancelling {run.task.cancelling()}")
            run.said.append(f"left {run.task.uncancel()}")
        await run.thing.come()
        run.said.append("gone on")

    run = Run(work)
    await rounds()
    assert run.task.cancelling() == 0
    assert run.task.cancel()
    await rounds()
    assert run.said == ["cancelling 1", "left 0"]
    run.thing.is_here()
    await rounds()
    assert run.said[2:] == ["gone on"]
    assert run.done


@pytest.mark.parametrize("where", ["light", "task"])
async def test_a_cancellation_may_end_it(where: str) -> None:
    async def work(run: Run) -> None:
        if where == "task":
            await in_a_task()
        try:
            await run.thing.come()
        finally:
            run.said.append("cleaned up")

    run = Run(work)
    await rounds()
    run.task.cancel()
    run.task.cancel()
    await rounds()
    assert run.said == ["cleaned up"]
    assert run.done
    run.task.cancel()
    run.thing.is_here()
    await rounds()


@pytest.mark.parametrize("late", [False, True])
async def test_a_cancellation_finds_it_in_the_task_that_it_becomes(late: bool) -> None:
    async def work(run: Run) -> None:
        run.said.append("begun")
        if not late:
            run.task.cancel()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            run.said.append("cancelled")

    run = Run(work)
    await rounds(1)
    if late:  # the task of asyncio's is made, and has not made its first step
        run.task.cancel()
    await rounds()
    assert run.said == ["begun", "cancelled"]
    assert run.done


async def test_a_cancellation_from_within_is_raised_at_the_next_wait() -> None:
    async def work(run: Run) -> None:
        run.task.cancel()
        try:
            await run.thing.come()
        except asyncio.CancelledError:
            run.said.append("cancelled")

    run = Run(work)
    await rounds()
    assert run.said == ["cancelled"]
    assert run.done


async def test_a_cancellation_that_was_taken_back_in_time_never_comes() -> None:
    async def work(run: Run) -> None:
        run.task.cancel()
        run.said.append(f"left {run.task.uncancel()}")
        await run.thing.come()
        run.said.append("ended")

    run = Run(work)
    await rounds()
    run.thing.is_here()
    await rounds()
    assert run.said == ["left 0", "ended"]
    assert run.done


async def test_one_that_is_cancelled_before_it_began_never_begins() -> None:
    async def work(run: Run) -> None:
        run.said.append("begun")

    run = Run(work)
    run.task.cancel()
    await rounds()
    assert run.said == []
    assert run.done


async def test_a_cancellation_comes_before_what_came_later() -> None:
    async def work(run: Run) -> None:
        try:
            await run.thing.come()
        except asyncio.CancelledError:
            run.said.append("cancelled")

    run = Run(work)
    await rounds()
    run.task.cancel()
    run.thing.is_here()
    await rounds()
    assert run.said == ["cancelled"]
    assert run.done


async def test_what_it_no_longer_waits_for_does_not_wake_it() -> None:
    other = Thing()

    async def work(run: Run) -> None:
        try:
            await run.thing.come()
        except asyncio.CancelledError:
            run.task.uncancel()
        await other.come()
        run.said.append("ended")

    run = Run(work)
    await rounds()
    run.task.cancel()
    await rounds()
    run.thing.is_here()
    await rounds()
    assert run.said == []
    other.is_here()
    await rounds()
    assert run.said == ["ended"]


@pytest.mark.parametrize("handed_over", [False, True])
async def test_it_has_a_context_of_its_own(handed_over: bool) -> None:
    async def work(run: Run) -> None:
        token = NAME.set(run.said[0] if run.said else "somebody")
        await run.thing.come()
        if handed_over:
            await in_a_task()
        run.said.append(NAME.get())
        NAME.reset(token)
        run.said.append(NAME.get())

    first, second = Run(work), Run(work)
    await rounds()
    assert NAME.get() == "nobody"
    for run in (second, first):
        run.thing.is_here()
    await rounds()
    assert first.said == second.said == ["somebody", "nobody"]
    assert NAME.get() == "nobody"


async def test_a_failure_is_told_to_the_loop_and_harms_no_other() -> None:
    async def fail(run: Run) -> None:
        await run.thing.come()
        raise ValueError("a defect")

    async def work(run: Run) -> None:
        await run.thing.come()
        run.said.append("ended")

    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: told.append(str(context["exception"]))
    )
    failing, other = Run(fail), Run(work)
    await rounds()
    failing.thing.is_here()
    other.thing.is_here()
    await rounds()
    assert told == ["a defect"]
    assert failing.done
    assert other.said == ["ended"]


async def test_a_round_goes_on_where_one_of_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(run: Run) -> None:
        await run.thing.come()
        run.said.append("ended")

    def refuse(*_: object) -> None:
        raise OSError("no more tasks")

    async def hand_over(run: Run) -> None:
        await run.thing.come()
        await in_a_task()

    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: told.append(str(context["exception"]))
    )
    bad, good = Run(hand_over), Run(work)
    await rounds()
    monkeypatch.setattr(LightTask, "_hand_over", refuse)
    bad.thing.is_here()
    good.thing.is_here()
    await rounds()
    assert told == ["no more tasks"]
    assert good.said == ["ended"]
