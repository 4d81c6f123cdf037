"""Tasks that begin at once: where they run, and what a cancellation finds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import pytest

from gateway.eager import EagerTask, in_a_task, waiting

NAME: ContextVar[str] = ContextVar("name", default="nobody")


class Thing:
    """Something of ours that is waited for."""

    def __init__(self) -> None:
        self._reader: EagerTask | asyncio.Future[None] | None = None

    def come(self) -> Awaitable[None]:
        eager = waiting(self)
        if eager is not None:
            self._reader, wait = eager
            return wait
        self._reader = asyncio.get_running_loop().create_future()
        return self._reader

    def is_here(self) -> None:
        if isinstance(self._reader, EagerTask):
            self._reader.has(self)
        elif self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class Run:
    """A coroutine in an eager task, and what it has said."""

    def __init__(self, work: Callable[[Run], Awaitable[None]]) -> None:
        self.said: list[str] = []
        self.done = False
        self.thing = Thing()
        self.task = EagerTask(self._work(work), asyncio.get_running_loop(), self._over)
        self.task.begin()

    async def _work(self, work: Callable[[Run], Awaitable[None]]) -> None:
        await work(self)

    def _over(self, task: EagerTask) -> None:
        assert task is self.task
        assert not self.done
        self.done = True


async def rounds(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_it_begins_and_goes_on_without_the_loop() -> None:
    async def work(run: Run) -> None:
        assert asyncio.current_task() is test
        run.said.append("begun")
        await run.thing.come()
        run.said.append("ended")

    test = asyncio.current_task()
    run = Run(work)
    assert (run.said, run.done) == (["begun"], False)
    run.thing.is_here()
    assert (run.said, run.done) == (["begun", "ended"], True)
    run.thing.is_here()  # and nobody waits


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
    run.thing.is_here()
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
    future.set_exception(ValueError("no"))
    await rounds()
    assert run.said == ["no"]
    run.thing.is_here()
    await rounds()
    assert run.done


@pytest.mark.parametrize("where", ["eager", "task"])
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


@pytest.mark.parametrize("where", ["eager", "task"])
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


async def test_a_cancellation_finds_it_in_the_task_that_it_became_meanwhile() -> None:
    async def work(run: Run) -> None:
        await run.thing.come()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            run.said.append("cancelled")

    run = Run(work)
    run.task.cancel()
    run.thing.is_here()  # before the cancellation has come
    await rounds()
    assert run.said == ["cancelled"]
    assert run.done


async def test_who_ended_before_a_cancellation_came_is_not_disturbed() -> None:
    async def work(run: Run) -> None:
        await run.thing.come()

    run = Run(work)
    run.task.cancel()
    run.thing.is_here()
    assert run.done
    await rounds()


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
    run.task.cancel()
    await rounds()
    run.thing.is_here()
    assert run.said == []
    other.is_here()
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
    assert NAME.get() == "nobody"
    for run in (second, first):
        run.thing.is_here()
    await rounds()
    assert first.said == second.said == ["somebody", "nobody"]
    assert NAME.get() == "nobody"


async def test_one_may_run_while_another_does() -> None:
    async def inner(run: Run) -> None:
        await run.thing.come()
        run.said.append("inner")

    async def outer(run: Run) -> None:
        nested = Run(inner)
        await run.thing.come()
        nested.thing.is_here()
        run.said.extend(nested.said)
        await run.thing.come()
        run.said.append("outer")

    run = Run(outer)
    run.thing.is_here()
    run.thing.is_here()
    assert run.said == ["inner", "outer"]
    assert run.done


async def test_a_failure_reaches_whoever_ran_it_on() -> None:
    async def work(run: Run) -> None:
        await run.thing.come()
        raise ValueError("a defect")

    run = Run(work)
    with pytest.raises(ValueError, match="a defect"):
        run.thing.is_here()
    assert run.done
