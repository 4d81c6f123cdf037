"""A task that begins at once, and becomes one of asyncio's only where it has to.

asyncio begins a task in the loop's next round, and wakes it in the round after what it waited for:
for a small request that is as much work as the request itself. Here a coroutine runs where it is
started, up to its first wait. If that is for something of ours (`waiting`), whoever has it runs the
coroutine on; most requests end so. Anything else that is awaited hands the coroutine over to a task
of asyncio's, which goes on with it; so does `in_a_task`, to be awaited before what asks for the
current task, as `asyncio.timeout` does.

The eager tasks of Python 3.12 do the first half of this.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import copy_context
from typing import Any, cast

_running: EagerTask | None = None
"""Whose coroutine runs right now; None within asyncio's own tasks."""


class EagerTask:
    """Runs a coroutine that returns nothing and raises nothing but its cancellation.

    `cancel`, `cancelling` and `uncancel` are as those of `asyncio.Task`. `on_done` is called at the
    end.
    """

    __slots__ = ("_awaited", "_cancels", "_context", "_coroutine", "_loop", "_on_done", "_task")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, None],
        loop: asyncio.AbstractEventLoop,
        on_done: Callable[[EagerTask], None],
    ) -> None:
        self._coroutine = coroutine
        self._loop = loop
        self._on_done = on_done
        # Whoever starts it goes on in a context of its own.
        self._context = copy_context()
        self._awaited: object = self
        self._task: asyncio.Task[None] | None = None
        self._cancels = 0

    def begin(self) -> None:
        """Run to the first wait."""
        self.has(self)

    def has(self, awaited: object) -> None:
        """Run on, if it is `awaited` that the coroutine waits for."""
        if self._awaited is awaited:
            self._step(self._coroutine.send, None)

    def cancel(self, msg: object = None) -> bool:
        """Have a CancelledError raised where the coroutine waits, soon."""
        if self._task is not None:
            return self._task.cancel(msg)
        self._cancels += 1
        if self._cancels == 1:
            self._loop.call_soon(self._interrupt)
        return True

    def cancelling(self) -> int:
        """How many of those that cancelled it have not taken it back."""
        return self._cancels if self._task is None else self._task.cancelling()

    def uncancel(self) -> int:
        """Take one of them back; how many are left."""
        if self._task is not None:
            return self._task.uncancel()
        self._cancels = max(0, self._cancels - 1)
        return self._cancels

    def _interrupt(self) -> None:
        if self._task is not None:
            self._task.cancel()
        elif self._awaited is _A_TASK:
            # A task that is cancelled before its first step never makes one.
            self._loop.call_soon(self._interrupt)
        elif self._awaited is not None:
            self._step(self._coroutine.throw, asyncio.CancelledError())

    def _step(self, resume: Callable[[Any], object], value: object) -> None:
        global _running
        before, _running, self._awaited = _running, self, None
        try:
            awaited = self._context.run(resume, value)
        except BaseException as end:
            self._on_done(self)
            if not isinstance(end, StopIteration | asyncio.CancelledError):
                raise
        else:
            if awaited is not _OURS:
                self._hand_over(awaited)
        finally:
            _running = before

    def _hand_over(self, awaited: object) -> None:
        self._awaited = _A_TASK
        task = self._loop.create_task(self._in_a_task(awaited), context=self._context)
        task.add_done_callback(lambda _: self._on_done(self))

    @types.coroutine
    def _in_a_task(self, awaited: object) -> Generator[Any, Any, None]:
        """Do for the coroutine what `await` does, from where it stands: it waits for `awaited`."""
        self._task, self._awaited = asyncio.current_task(), None
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
    """What a coroutine says to its `EagerTask` by awaiting it."""

    def __init__(self) -> None:
        self._once = (self,)

    def __await__(self) -> Generator[Any, Any, None]:
        # Any iterator will do, and none is cheaper.
        return cast("Generator[Any, Any, None]", iter(self._once))


_OURS, _A_TASK = _Word(), _Word()


def waiting(awaited: object) -> tuple[EagerTask, Awaitable[None]] | None:
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
