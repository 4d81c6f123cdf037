"""Facts by key: the owner's table, and the copies that others keep of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from common.api.base import Change, Event, Struct
from common.bus import wire
from common.bus.events import Publisher

T = TypeVar("T", bound=Struct)


class Table(Generic[T]):
    """Rows that this process owns: each change is published, a snapshot gives them all, once they
    are `known`."""

    def __init__(
        self, publisher: Publisher, event: Event[Change[T]], known: asyncio.Event | None = None
    ) -> None:
        self._publisher = publisher
        self._event = event
        self._rows: dict[str, T] = {}
        publisher.holds(event.stream, self._facts, known)

    def _facts(self) -> Iterator[tuple[Event[Any], Struct]]:
        for key, value in self._rows.items():
            yield self._event, Change(key=key, value=value)

    def put(self, key: str, value: T) -> None:
        """Set a row; nothing is published where it is as before.

        Raises `WireError` where the row cannot travel; the table is as before then.
        """
        if self._rows.get(key) != value:
            self._publisher.publish(self._event, Change(key=key, value=value))
            self._rows[key] = value

    def remove(self, key: str) -> None:
        """Remove a row, if there."""
        if self._rows.pop(key, None) is not None:
            self._publisher.publish(self._event, Change(key=key, value=None))

    def get(self, key: str) -> T | None:
        """The row, if there."""
        return self._rows.get(key)

    def values(self) -> list[T]:
        """All rows, oldest key first."""
        return list(self._rows.values())


Listener = Callable[[str, str, T | None, T | None], None]
"""(owner, key, row before, row after); null where there was or is none."""


class Mirror(Generic[T]):
    """A copy of the tables of all owners of one event. It keeps the rows of an owner that is gone:
    what was true stays the best knowledge until a successor's snapshot replaces it.
    """

    def __init__(self, event: Event[Change[T]]) -> None:
        self._event = event
        self._rows: dict[str, dict[str, T]] = {}
        self._listeners: list[Listener[T]] = []

    def on_change(self, listener: Listener[T]) -> None:
        """Call `listener` for each row that comes, changes or goes, also through a snapshot."""
        self._listeners.append(listener)

    def apply(self, process: str, name: str, body: wire.Body) -> None:
        """Take one change in (`Reader`)."""
        if name == self._event.name:
            change = wire.decode(body, self._event.payload)
            self._set(process, change.key, change.value)

    def replace(self, process: str, items: Iterable[tuple[str, wire.Body]]) -> None:
        """Take a snapshot in (`Reader`): rows that it does not hold are gone."""
        changes = [wire.decode(body, self._event.payload) for _, body in items]
        self._rows.setdefault(process, {})
        for key in self._rows.get(process, {}).keys() - {change.key for change in changes}:
            self._set(process, key, None)
        for change in changes:
            self._set(process, change.key, change.value)

    def forget(self, process: str) -> None:
        """Drop an owner's rows, where they mean nothing without it."""
        for key in list(self._rows.get(process, {})):
            self._set(process, key, None)

    def _set(self, process: str, key: str, after: T | None) -> None:
        rows = self._rows.setdefault(process, {})
        before = rows.get(key)
        if after is None:
            rows.pop(key, None)
        else:
            rows[key] = after
        if before != after:
            for listener in self._listeners:
                listener(process, key, before, after)

    def knows(self, process: str) -> bool:
        """Whether an owner's rows are known, be they none."""
        return process in self._rows

    def rows(self, process: str) -> dict[str, T]:
        """The rows of one owner, by key."""
        return dict(self._rows.get(process, {}))

    def find(self, key: str) -> T | None:
        """The row with this key, of whichever owner."""
        for rows in self._rows.values():
            if key in rows:
                return rows[key]
        return None

    def items(self) -> Iterator[tuple[str, str, T]]:
        """(owner, key, row) of all."""
        for process, rows in self._rows.items():
            for key, value in rows.items():
                yield process, key, value
