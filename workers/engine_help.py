"""What a llama-server says of itself: `--help` and `--version`, each in a child of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence

from common.engine_flags.help_text import LONGEST_HELP

PATIENCE_S = 6.0
"""For each of the two; a llama-server prints its help in some milliseconds, but one that is built
for GPUs looks for drivers first."""

_COLLECT_S = 2.0


class NoAnswer(Exception):
    """The program cannot be run, does not end, or says too much. Says which."""


class _Asked(asyncio.SubprocessProtocol):
    """What a program says; `exited` once it has, `ended` once all of its output has as well."""

    def __init__(self) -> None:
        self.said = bytearray()
        self.exited = asyncio.Event()
        self.ended = asyncio.get_running_loop().create_future()

    def pipe_data_received(self, _fd: int, data: bytes) -> None:
        if len(self.said) <= LONGEST_HELP:
            self.said += data
        elif not self.ended.done():
            self.ended.set_exception(NoAnswer(f"it prints more than {LONGEST_HELP:,} bytes"))

    def process_exited(self) -> None:
        self.exited.set()

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


async def ask(
    program: Sequence[str], environment: Mapping[str, str], patience_s: float = PATIENCE_S
) -> str:
    """What a program prints, on both outputs. Raises `NoAnswer`.

    It runs in a session of its own, so that whatever it starts ends with it. What leaves that
    session goes on, and is not waited for.
    """
    transport, asked = await _start(program, environment)
    ended = False
    try:
        async with asyncio.timeout(patience_s):
            await asked.ended
            ended = True
    except TimeoutError:
        raise NoAnswer(f"it did not end within {patience_s:g} s") from None
    finally:
        if not ended:
            await _kill(transport, asked)
        transport.close()
    if transport.get_returncode():
        raise NoAnswer(f"it ended with code {transport.get_returncode()}")
    return asked.said.decode(errors="replace")


async def _start(
    program: Sequence[str], environment: Mapping[str, str]
) -> tuple[asyncio.SubprocessTransport, _Asked]:
    """Start it. Raises `NoAnswer`."""
    starting = asyncio.ensure_future(
        asyncio.get_running_loop().subprocess_exec(
            _Asked,
            *program,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # It runs already, and may have started others: asyncio would kill it alone.
        with contextlib.suppress(OSError, ValueError):
            transport, asked = await starting
            await _kill(transport, asked)
            transport.close()
        raise
    except (OSError, ValueError) as error:
        raise NoAnswer(f"it cannot be run: {error}") from error


async def _kill(transport: asyncio.SubprocessTransport, asked: _Asked) -> None:
    """Kill what is left of the program's session, and collect the program."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(transport.get_pid(), signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_COLLECT_S):
            await asked.exited.wait()


def version_in(text: str) -> str:
    """The version in the words of `--version`; empty where it has none."""
    for line in text[:LONGEST_HELP].splitlines():
        if line.startswith("version:"):
            return line.removeprefix("version:").strip()[:200]
    return ""
