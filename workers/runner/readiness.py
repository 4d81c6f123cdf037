"""When an engine is ready: its /health answers 200, and it is really this engine that answers.

While it loads, llama.cpp first refuses connections and then answers 503. One small request is
sent every few milliseconds over a bare socket; no HTTP library is worth its time here.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
from typing import Any

from workers.runner.child import Child
from workers.runner.listening import listens

# An engine with a small model is ready after 20 ms, one with a large model after minutes: ask often
# at first, and never so seldom that a load takes visibly longer for our asking.
_FIRST_INTERVAL_S = 0.005
_LAST_INTERVAL_S = 0.020
_FAST_POLLS = 100

# A connection that hangs is given up and tried anew, so that readiness is not missed behind it.
_POLL_TIMEOUT_S = 0.5

# Closing with a reset leaves no connection in TIME_WAIT: fifty a second would fill the port range.
_CLOSE_BY_RESET = struct.pack("ii", 1, 0)


class NotReady(Exception):
    """Base of the ways in which an engine does not become ready."""


class EngineEnded(NotReady):
    """The engine ended before it was ready; its output says why (see diagnosis.py)."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(f"the engine ended with exit code {exit_code}")
        self.exit_code = exit_code


class ReadyTimeout(NotReady):
    """The engine lives but was not ready in time."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"the engine was not ready within {timeout_s:g} s")
        self.timeout_s = timeout_s


class PortTaken(NotReady):
    """Another process serves the port that was given to the engine."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"another process listens on {host}:{port}")
        self.host = host
        self.port = port


async def wait_until_ready(
    child: Child, host: str, port: int, api_key: str, timeout_s: float
) -> None:
    """Return once the engine serves requests; raises one of the `NotReady` errors otherwise.

    The engine is left as it is in either case: ending it is the caller's business.
    """
    ending = asyncio.create_task(child.wait())
    polling = asyncio.create_task(_poll(host, port, api_key))
    try:
        await asyncio.wait(
            {ending, polling}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        if not polling.done() and not child.ended:
            raise ReadyTimeout(timeout_s)
        ours = not child.ended and await asyncio.to_thread(listens, child.pid, host, port)
        if child.ended:
            raise EngineEnded(child.exit_code)
        await polling
        if not ours:
            raise PortTaken(host, port)
    finally:
        ending.cancel()
        polling.cancel()
        await asyncio.wait({ending, polling})


async def is_healthy(host: str, port: int, api_key: str, *, timeout_s: float) -> bool:
    """Whether an engine answers 200 to /health in time."""
    loop = asyncio.get_running_loop()
    family, kind, protocol, _, address = await _resolve(host, port)
    with socket.socket(family, kind, protocol) as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_BY_RESET)
        # Refused, reset, slow, cut short: all of it is an engine that is not well.
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(timeout_s):
                return await _answers_200(loop, sock, address, _request(host, port, api_key))
    return False


async def _poll(host: str, port: int, api_key: str) -> None:
    loop = asyncio.get_running_loop()
    for poll in itertools.count():
        started = loop.time()
        if await is_healthy(host, port, api_key, timeout_s=_POLL_TIMEOUT_S):
            return
        interval_s = _FIRST_INTERVAL_S if poll < _FAST_POLLS else _LAST_INTERVAL_S
        await asyncio.sleep(max(interval_s - (loop.time() - started), 0.001))


async def _resolve(host: str, port: int) -> tuple[Any, ...]:
    kind = socket.SOCK_STREAM
    try:
        # An address, which it nearly always is, needs no thread that may wait for a name server.
        return socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICHOST)[0]
    except socket.gaierror:
        return (await asyncio.get_running_loop().getaddrinfo(host, port, type=kind))[0]


def _request(host: str, port: int, api_key: str) -> bytes:
    return (
        f"GET /health HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Authorization: Bearer {api_key}\r\nConnection: close\r\n\r\n"
    ).encode()


async def _answers_200(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, address: tuple[Any, ...], request: bytes
) -> bool:
    await loop.sock_connect(sock, address)
    await loop.sock_sendall(sock, request)
    answer = b""
    while b"\r\n" not in answer and len(answer) < 256:
        received = await loop.sock_recv(sock, 256)
        if not received:
            return False
        answer += received
    return answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.0 200 "))
