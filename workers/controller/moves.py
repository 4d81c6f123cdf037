"""The moves of one model (load, unload, evict): one after the other, each with a generation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]
"""Start a task, by name, that ends with the process at the latest."""


class Moves:
    """Runs the moves of one model.

    `begins` is told the generation of each when its turn has come, `rests` that the last one that
    was begun has ended. `generation` is that of the last one that was begun.
    """

    def __init__(
        self,
        model_id: str,
        generation: int,
        *,
        spawn: Spawn,
        next_generation: Callable[[], int],
        begins: Callable[[int], None],
        rests: Callable[[], None],
    ) -> None:
        self.generation = generation
        self._model_id = model_id
        self._spawn = spawn
        self._next_generation = next_generation
        self._begins = begins
        self._rests = rests
        self._name = ""
        self._last: asyncio.Task[None] | None = None
        self._unfinished: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> str | None:
        """The name of the last one that was begun; null once it has ended."""
        return self._name if self._last is not None else None

    def begin(self, name: str, move: Callable[[], Awaitable[None]], *, cancel: bool = False) -> int:
        """Let a move follow those under way, the last of which may be cancelled; returns its
        generation.
        """
        if self._last is not None and cancel:
            self._last.cancel()
        self._name, self.generation = name, self._next_generation()
        # Not only after the last one: one that is cancelled while it waits ends before its turn.
        earlier = frozenset(self._unfinished)
        task = self._spawn(self._run(earlier, move, self.generation), f"{name} {self._model_id}")
        self._last = task
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return self.generation

    async def wait(self) -> None:
        """Until the move that is the last one now has ended."""
        if self._last is not None:
            await asyncio.wait([self._last])

    async def _run(
        self,
        earlier: frozenset[asyncio.Task[None]],
        move: Callable[[], Awaitable[None]],
        generation: int,
    ) -> None:
        if earlier:
            await asyncio.wait(earlier)
        self._begins(generation)
        await move()
        if self._last is asyncio.current_task():
            self._last = None
            self._rests()
