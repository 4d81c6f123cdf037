"""A proxy that answers every chat with what it was told to send, and keeps the requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class StandInOpenAi(ThreadingHTTPServer):
    """`reply` is the status and the body of every answer; `requests` the bodies, oldest first."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.reply: tuple[int, bytes] = (200, b"")
        self.requests: list[dict[str, Any]] = []

    def say(self, *deltas: dict[str, str], ending: bytes = b"data: [DONE]\n\n") -> None:
        """Answer with a stream of these deltas."""
        chunks = [{"choices": [{"delta": delta}]} for delta in deltas]
        self.reply = (200, events(chunks) + ending)


class _Handler(BaseHTTPRequestHandler):
    server: StandInOpenAi

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.requests.append(json.loads(self.rfile.read(length)))
        status, body = self.server.reply
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the tests' output is for the tests."""


def events(chunks: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)


@contextmanager
def stand_in_openai(port: int) -> Iterator[StandInOpenAi]:
    with StandInOpenAi(port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
