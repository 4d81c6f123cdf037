"""Many streaming chats at the same time, watched for cuts."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.support.waiting import wait_for


class Stream:
    """One endless chat, read in a thread. `end` says how it ended, null while it flows;
    `local_port` is this end of its connection, 0 before there is one."""

    def __init__(self, port: int, model_id: str) -> None:
        self.model_id = model_id
        self.chunks = 0
        self.end: str | None = None
        self.local_port = 0
        self.last_event = ""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        body = {
            "model": self.model_id,
            "stream": True,
            "messages": [{"role": "user", "content": "hello"}],
        }
        try:
            self._connection.connect()
            self.local_port = self._connection.sock.getsockname()[1]
            self._connection.request(
                "POST",
                "/v1/chat/completions",
                json.dumps(body),
                {"Content-Type": "application/json"},
            )
            response = self._connection.getresponse()
            if response.status != 200:
                self.end = f"{response.status} {response.read()!r}"
                return
            while line := response.readline():
                if line.startswith(b"data: "):
                    self.last_event = line.decode().removeprefix("data: ").strip()
                    self.chunks += 1
            self.end = "ended"
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            self.end = f"{type(error).__name__}: {error}"

    def close(self) -> None:
        """Leave, as a client that closes its connection."""
        with suppress(OSError):
            if self._connection.sock is not None:
                self._connection.sock.shutdown(2)
        self._connection.close()
        self._thread.join(10)


@contextmanager
def streams(port: int, model_ids: list[str]) -> Iterator[list[Stream]]:
    """A stream for each id, all flowing before the body runs."""
    running = [Stream(port, model_id) for model_id in model_ids]
    try:
        all_flow(running)
        yield running
    finally:
        for stream in running:
            stream.close()


def all_flow(running: list[Stream], *, timeout_s: float = 20.0) -> None:
    """Each of them gets new chunks; fails when one has ended."""
    before = [stream.chunks for stream in running]

    def flowing() -> bool:
        ended = [stream.end for stream in running if stream.end is not None]
        assert not ended, ended
        return all(stream.chunks >= n + 3 for stream, n in zip(running, before, strict=True))

    wait_for(flowing, timeout_s)


def all_ended(running: list[Stream]) -> None:
    """Each of them ends, in whatever way."""
    wait_for(lambda: all(stream.end is not None for stream in running))
