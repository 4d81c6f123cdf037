"""A thread that owns ZeroMQ sockets, and the one socket by which it is told to end."""

from __future__ import annotations

import threading
from collections.abc import Callable

import zmq

Work = Callable[[zmq.Socket[bytes]], None]
"""Works until something arrives at the socket it is given, then closes its own sockets."""


class SocketThread:
    """Runs `work` in a thread of its own; `last_word` is what tells it to end."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        name: str,
        work: Work,
        *,
        last_word: bytes = b"",
    ) -> None:
        self._last_word = last_word
        address = f"inproc://stop-{name}-{id(self)}"
        self._reader = context.socket(zmq.PAIR)
        self._reader.bind(address)
        self._writer = context.socket(zmq.PAIR)
        self._writer.connect(address)
        self._work = work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it works."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the thread; its sockets are closed then."""
        self._writer.send(self._last_word)
        self._thread.join()
        self._writer.close(linger=0)

    def _run(self) -> None:
        self._work(self._reader)
        self._reader.close(linger=0)
