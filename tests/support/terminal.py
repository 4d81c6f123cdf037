"""Commands on a terminal, with somebody who types."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time

from tests.support.stand_in_stack import CHECKOUT, plain_environment

PROMPT = b"> "
END_OF_INPUT = b"\x04"

_TIMEOUT_S = 30.0


def in_terminal(command: list[str], *typed: bytes) -> str:
    """What a command shows; fails the test unless it ends with 0 in time.

    Each of `typed` is sent when a prompt shows: what is typed before is lost when the command
    sets its terminal up.
    """
    leader, follower = pty.openpty()
    with subprocess.Popen(
        command,
        cwd=CHECKOUT,
        env={**plain_environment(), "TERM": "xterm", "COLUMNS": "100"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    ) as process:
        os.close(follower)
        try:
            shown = _attend(leader, list(typed))
            code = process.wait(_TIMEOUT_S)
        finally:
            os.close(leader)
            process.kill()
    assert code == 0, shown
    return shown.decode()


def _attend(leader: int, typed: list[bytes]) -> bytes:
    deadline = time.monotonic() + _TIMEOUT_S
    shown = b""
    answered = 0
    while True:
        readable, _, _ = select.select([leader], [], [], max(0.0, deadline - time.monotonic()))
        assert readable, f"the command did not end: {shown!r}"
        try:
            part = os.read(leader, 4096)
        except OSError:
            # EIO: the command has closed its side.
            return shown
        shown += part
        if typed and shown.count(PROMPT) > answered:
            os.write(leader, typed.pop(0))
            answered += 1
