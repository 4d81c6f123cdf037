"""Chats one after the other, from before something is hit until it is right again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from tests.support.waiting import wait_for

_PAUSE_S = 0.05


def ask(proxy_url: str, model_id: str, timeout_s: float = 10.0) -> str:
    """One short chat on a connection of its own; raises where it is not answered as it should."""
    body = {"model": model_id, "messages": [{"role": "user", "content": "hello"}]}
    answer = requests.post(f"{proxy_url}/v1/chat/completions", json=body, timeout=timeout_s)
    answer.raise_for_status()
    return str(answer.json()["choices"][0]["message"]["content"])


class Chats:
    """What came of them: how many were answered, how long the slowest took, and what failed."""

    def __init__(self, proxy_url: str, model_id: str) -> None:
        self.answered = 0
        self.slowest_s = 0.0
        self.failures: list[str] = []
        self._proxy_url, self._model_id = proxy_url, model_id
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(_PAUSE_S):
            began_s = time.monotonic()
            try:
                ask(self._proxy_url, self._model_id)
            except (requests.RequestException, LookupError, ValueError) as error:
                body = getattr(getattr(error, "response", None), "text", "")
                self.failures.append(f"{error!r} {body}")
            else:
                self.answered += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)

    def close(self) -> None:
        """Ask no more."""
        self._stop.set()
        self._thread.join(15)

    def go_on(self, count: int = 3) -> None:
        """So many more are answered, and none has failed."""
        wanted = self.answered + count
        wait_for(lambda: self.answered >= wanted or self.failures)
        assert not self.failures, self.failures


@contextmanager
def chats(proxy_url: str, model_id: str) -> Iterator[Chats]:
    """Chats all along, the first of them answered before the body runs."""
    running = Chats(proxy_url, model_id)
    try:
        running.go_on()
        yield running
    finally:
        running.close()
