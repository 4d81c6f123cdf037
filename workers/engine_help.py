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

_CHUNK = 64 * 1024
_COLLECT_S = 2.0


class NoAnswer(Exception):
    """The program cannot be run, does not end, or says too much. Says which."""


async def ask(
    program: Sequence[str], environment: Mapping[str, str], patience_s: float = PATIENCE_S
) -> str:
    """What a program prints, on both outputs. Raises `NoAnswer`.

    It runs in a session of its own, so that whatever it starts ends with it.
    """
    process = await _start(program, environment)
    ended = False
    try:
        async with asyncio.timeout(patience_s):
            output = await _read(process.stdout)
            await process.wait()
            ended = True
    except TimeoutError:
        raise NoAnswer(f"it did not end within {patience_s:g} s") from None
    finally:
        if not ended:
            await _kill(process)
    if process.returncode:
        raise NoAnswer(f"it ended with code {process.returncode}")
    return output.decode(errors="replace")


async def _start(
    program: Sequence[str], environment: Mapping[str, str]
) -> asyncio.subprocess.Process:
    """Start it. Raises `NoAnswer`."""
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
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
            await _kill(await starting)
        raise
    except (OSError, ValueError) as error:
        raise NoAnswer(f"it cannot be run: {error}") from error


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    output = bytearray()
    while stream is not None and (chunk := await stream.read(_CHUNK)):
        output += chunk
        if len(output) > LONGEST_HELP:
            raise NoAnswer(f"it prints more than {LONGEST_HELP:,} bytes")
    return bytes(output)


async def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill the program's whole session, and collect what it has written and the program itself.

    Only where its output is still open, or it has not been collected: its number is in use then.
    What has left the session goes on, and may keep the output open: it is not waited for.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_COLLECT_S):
            # Not `wait` alone: it ends with the output, which nobody reads then if it is much.
            await process.communicate()


def version_in(text: str) -> str:
    """The version in the words of `--version`; empty where it has none."""
    for line in text[:LONGEST_HELP].splitlines():
        if line.startswith("version:"):
            return line.removeprefix("version:").strip()[:200]
    return ""
