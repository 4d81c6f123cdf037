"""Real children for tests, which are gone when the test is, passed or failed."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from workers.runner.child import Child

ENV = {"PATH": os.environ["PATH"]}


def python(code: str, *arguments: object) -> list[str]:
    """The command line of a Python that starts fast and runs this code."""
    flags = ("-I", "-S", "-c", textwrap.dedent(code))
    return [sys.executable, *flags, *(str(argument) for argument in arguments)]


@asynccontextmanager
async def running(
    argv: Sequence[str], output: Path, *, env: Mapping[str, str] = ENV, cwd: Path | None = None
) -> AsyncIterator[Child]:
    """A child, killed at the end unless it has ended by then."""
    child = await Child.start(argv, env, output, cwd)
    try:
        yield child
    finally:
        child.kill()
        await child.wait()


async def printed(output: Path, text: str = "up") -> str:
    """All that a child has written, once `text` is part of it."""
    async with asyncio.timeout(20):
        while text not in (written := await asyncio.to_thread(output.read_text)):
            await asyncio.sleep(0.01)
    return written
