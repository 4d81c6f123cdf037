"""Tasks that cost less than those of asyncio, and become such where they have to.

A task of asyncio's, and the future that it waits for, take as much time as all else that is done
for a small request. A light task is a coroutine that waits for things of ours (`waiting`), without
futures; those that can go on do so together, in the loop's next round. Anything else that is
awaited hands the coroutine over to a task of asyncio's, which goes on with it; so does `in_a_task`,
to be awaited before what asks for the current task, as `asyncio.timeout` does.

That they go on together is worth more than that each would go on a little sooner: a burst of writes
wakes another process once, and code that runs for one request after the other is in the caches.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import copy_context
from typing import Any, cast
from weakref import WeakKeyDictionary, ref

_running: LightTask | None = None
"""Whose coroutine runs right now; None within asyncio's own tasks."""


class Rounds:
    """The light tasks of one loop that can go on; get it by `rounds_of`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = ref(loop)
        self._ready: list[LightTask] = []

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """It lives as long as its tasks do."""
        loop = self._loop()
        if loop is None:
            raise RuntimeError("the event loop is gone")
        return loop

    def add(self, task: LightTask) -> None:
        """Have a task go on in the loop's next round."""
        if not self._ready:
            self.loop.call_soon(self._run)
        self._ready.append(task)

    def _run(self) -> None:
        ready, self._ready = self._ready, []
        for task in ready:
            try:
                task.step()
            except BaseException as error:  # noqa: BLE001 - the others go on
                context = {"message": "a light task failed", "exception": error}
                self.loop.call_exception_handler(context)


_rounds: WeakKeyDictionary[asyncio.AbstractEventLoop, Rounds] = WeakKeyDictionary()


def rounds_of(loop: asyncio.AbstractEventLoop) -> Rounds:
    """Those of a loop."""
    rounds = _rounds.get(loop)
    if rounds is None:
        rounds = _rounds[loop] = Rounds(loop)
    return rounds


class LightTask:
    """Runs a coroutine that returns nothing; what it raises is told to the loop, which logs it.

    `cancel`, `cancelling` and `uncancel` are as those of `asyncio.Task`, but that several of them
    are one to a task that it becomes. `on_done` is called at the end.
    """

    __slots__ = (
        "_awaited",
        "_cancels",
        "_context",
        "_coroutine",
        "_interrupted",
        "_on_done",
        "_rounds",
        "_task",
    )

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, None],
        rounds: Rounds,
        on_done: Callable[[LightTask], None],
    ) -> None:
        self._coroutine = coroutine
        self._rounds = rounds
        self._on_done = on_done
        # Whoever starts it goes on in a context of its own.
        self._context = copy_context()
        self._awaited: object = None
        self._interrupted = False
        self._task: asyncio.Task[None] | None = None
        self._cancels = 0
        rounds.add(self)

    def has(self, awaited: object) -> None:
        """Go on, if it is `awaited` that the coroutine waits for."""
        if self._awaited is awaited:
            self._awaited = None
            self._rounds.add(self)

    def cancel(self, msg: object = None) -> bool:
        """Have a CancelledError raised where the coroutine waits, soon."""
        if self._task is not None:
            return self._task.cancel(msg)
        self._cancels += 1
        self._interrupted = True
        if self._awaited is not None:
            self._awaited = None
            self._rounds.add(self)
        return True

    def cancelling(self) -> int:
        """How many of those that cancelled it have not taken it back."""
        return self._cancels if self._task is None else self._task.cancelling()

    def uncancel(self) -> int:
        """Take one of them back; how many are left."""
        if self._task is not None:
            return self._task.uncancel()
        self._cancels = max(0, self._cancels - 1)
        if not self._cancels:
            self._interrupted = False  # what was taken back before it came, as from Python 3.13 on
        return self._cancels

    def step(self) -> None:
        """Run to the next wait; for `Rounds`."""
        global _running
        _running = self
        try:
            if self._interrupted:
                self._interrupted = False
                awaited = self._context.run(self._coroutine.throw, asyncio.CancelledError())
            else:
                awaited = self._context.run(self._coroutine.send, None)
        except (StopIteration, asyncio.CancelledError):
            self._on_done(self)
        except BaseException:
            self._on_done(self)
            raise
        else:
            if awaited is not _OURS:
                self._hand_over(awaited)
            elif self._interrupted:
                self._awaited = None
                self._rounds.add(self)
        finally:
            _running = None

    def _hand_over(self, awaited: object) -> None:
        task = self._rounds.loop.create_task(self._in_a_task(awaited), context=self._context)
        task.add_done_callback(lambda _: self._on_done(self))

    async def _in_a_task(self, awaited: object) -> None:
        self._task = asyncio.current_task()
        if self._interrupted and self._task is not None:
            self._task.cancel()
        await self._go_on(awaited)

    @types.coroutine
    def _go_on(self, awaited: object) -> Generator[Any, Any, None]:
        """Do for the coroutine what `await` does, from where it stands: it waits for `awaited`."""
        try:
            if awaited is _A_TASK:
                awaited = self._coroutine.send(None)
            while True:
                try:
                    value = yield awaited
                except BaseException as error:  # noqa: BLE001 - it is for the coroutine
                    awaited = self._coroutine.throw(error)
                else:
                    awaited = self._coroutine.send(value)
        except StopIteration:
            return


class _Word:
    """What a coroutine says to its `LightTask` by awaiting it."""

    def __init__(self) -> None:
        self._once = (self,)

    def __await__(self) -> Generator[Any, Any, None]:
        # Any iterator will do, and none is cheaper.
        return cast("Generator[Any, Any, None]", iter(self._once))


_OURS, _A_TASK = _Word(), _Word()


def waiting(awaited: object) -> tuple[LightTask, Awaitable[None]] | None:
    """Wait for something that will call `has` of the task: the task, and what to await.

    None within asyncio's tasks, which wait for futures.
    """
    if _running is None:
        return None
    _running._awaited = awaited
    return _running, _OURS


async def in_a_task() -> None:
    """From here on the coroutine runs in a task of asyncio's."""
    if _running is not None:
        await _A_TASK
