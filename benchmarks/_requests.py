"""The requests of the proxy's benchmarks, and the load that is made of them."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks._proxy_under_test import MODEL, TOKEN

PATH = "/v1/chat/completions"
TIMEOUT_S = 60.0

_REQUESTS_PER_S = re.compile(r"Requests/sec: *([0-9.]+)")
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_LAST_CHUNK = b"\r\n0\r\n\r\n"


def stream_of(chunks: int, size_bytes: int, per_s: int = 0) -> str:
    """The stream that the engine is to answer with; 0 per second: flat out."""
    return f"{chunks} {size_bytes} {per_s}"


def body(prompt_bytes: int = 8) -> bytes:
    """A chat whose only message is so long."""
    message = {"role": "user", "content": "x" * prompt_bytes}
    return json.dumps({"model": MODEL, "messages": [message], "max_tokens": 2}).encode()


def headers(stream: str = "") -> dict[str, str]:
    """As a program would send them; `stream` comes from `stream_of`."""
    wanted = {"x-answer": stream} if stream else {}
    return {
        "accept": "application/json",
        "user-agent": "benchmark/1.0",
        "content-type": "application/json",
        "authorization": f"Bearer {TOKEN}",
        **wanted,
    }


def request(stream: str = "", prompt_bytes: int = 8) -> bytes:
    """A whole request."""
    content = body(prompt_bytes)
    lines = [f"{name}: {value}\r\n" for name, value in headers(stream).items()]
    head = f"POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(content)}\r\n"
    return (head + "".join(lines) + "\r\n").encode() + content


class Caller:
    """One connection; asks, and reads the answer to its end."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, content: bytes) -> bytes:
        """The whole answer. Fails where it is not a 200."""
        self._sock.sendall(content)
        answer = self._sock.recv(65536)
        while not _whole(answer):
            more = self._sock.recv(65536)
            assert more, "the answer broke off"
            answer += more
        assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
        return answer

    def seconds(self, content: bytes, count: int) -> list[float]:
        """How long each of so many requests took, one after the other."""
        took_s = []
        for _ in range(count):
            began_s = time.perf_counter()
            self.ask(content)
            took_s.append(time.perf_counter() - began_s)
        return took_s

    def close(self) -> None:
        """Hang up."""
        self._sock.close()


def _whole(answer: bytes) -> bool:
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    length = _CONTENT_LENGTH.search(answer, 0, end + 2)
    if length is not None:
        return len(answer) == end + 4 + int(length[1])
    return answer.endswith(_LAST_CHUNK)


def wrk(port: int, connections: int, duration_s: int, stream: str = "") -> float:
    """Answers per second by `wrk`, each asked for once the one before it has come."""
    fields = "\n".join(
        f'wrk.headers["{name}"] = "{value}"' for name, value in headers(stream).items()
    )
    script = f"wrk.method = 'POST'\nwrk.body = {json.dumps(body().decode())}\n{fields}\n"
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{duration_s}s"]
        url = f"http://127.0.0.1:{port}{PATH}"
        said = subprocess.run(
            [*command, "-s", str(Path(file.name)), url], check=True, capture_output=True, text=True
        ).stdout
    found = _REQUESTS_PER_S.search(said)
    assert found is not None, said
    assert "Non-2xx" not in said, said
    assert "Socket errors" not in said, said
    return float(found[1])
