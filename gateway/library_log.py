"""What the Socket.IO libraries log: a line for each packet that they could not read, no traceback.

Anybody who may connect can send such packets. The libraries' more detailed levels stay off: they
would log whole packets, access tokens included.
"""

from __future__ import annotations

import logging

_SHOWN_CHARACTERS = 200


def _in_one_line(record: logging.LogRecord) -> bool:
    """A filter that lets everything pass, with the exception's text instead of its traceback."""
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        text = f"{record.getMessage()}: {type(error).__name__}: {error}"
        record.msg, record.args = "%s", (text[:_SHOWN_CHARACTERS],)
        record.exc_info = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def library_logger() -> logging.Logger:
    """The logger to give to `socketio.AsyncServer`, for itself and for Engine.IO."""
    logger = logging.getLogger("gateway.socketio")
    logger.setLevel(logging.WARNING)
    logger.addFilter(_in_one_line)
    return logger
