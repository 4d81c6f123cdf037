"""How a command ends when it cannot do what was asked."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What scripts may rely on."""

    OK = 0
    FAILED = 1
    USAGE = 2  # argparse's own choice
    NOT_RUNNING = 3  # the stack that was asked does not answer
    INTERRUPTED = 130  # 128 + SIGINT, as shells report it


class CommandFailed(Exception):
    """Ends a command with a line on stderr and an exit code; the message says what to do."""

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code
