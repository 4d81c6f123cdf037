"""An engine's output as log lines, numbered by their place in it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from common.api import logs
from common.logging import LineOutbox
from workers.runner.output import Line, OutputFollower, level_of


def sender_of(instance_id: str) -> str:
    """The sender of an instance's lines; its epoch is 0: places in a file never start anew."""
    return f"engine:{instance_id}"


async def deliver(follower: OutputFollower, outbox: LineOutbox, model_id: str) -> None:
    """Bring everything that is written to the log, until the follower has been finished.

    What is stored for good is given back to the file system.
    """
    async for batch in follower:
        if batch:
            outbox.put(_log_lines(batch, f"engine:{model_id}"))
        await follower.free(outbox.acknowledged)


def _log_lines(batch: Iterable[Line], source: str) -> Iterator[logs.Line]:
    now = time.time()
    for line in batch:
        yield logs.Line(
            sequence=line.offset,
            time=now,
            level=level_of(line.text),
            source=source,
            message=line.text,
        )
