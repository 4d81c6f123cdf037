"""Records of this process: to its own output, and as lines to the `logs` process."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import suppress

import msgspec

from common.api import logs
from common.api.logs import AppendLines, Level, Line
from common.delivery import Delivery, Goods, Outbox

MAX_LINE_CHARACTERS = 65_536

LEVELS: dict[Level, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_BYTES_PER_LINE = 100  # what a kept line takes beyond its text

logger = logging.getLogger(__name__)


def level_name(level: int) -> Level:
    """The level of a record as clients name it."""
    for name in ("error", "warn", "info"):
        if level >= LEVELS[name]:
            return name
    return "debug"


def write_to_output(level: Level) -> None:
    """Send records to standard error, from where supervisord writes them into a rotated file."""
    handler = logging.StreamHandler(_Output())
    handler.setFormatter(
        logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s", "%FT%T")
    )
    logging.getLogger().addHandler(handler)
    keep_from(level)
    for chatty in ("watchfiles", "gguf"):  # they report every look as information
        logging.getLogger(chatty).setLevel(logging.WARNING)


def keep_from(level: Level) -> None:
    """Keep records of this level and above, from now on."""
    logging.getLogger().setLevel(LEVELS[level])


class _Output:
    """Standard error whose reader (supervisord, a terminal) may die without taking us down."""

    def write(self, text: str) -> None:
        with suppress(BrokenPipeError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(BrokenPipeError):
            sys.stderr.flush()


def _fit_to_travel(line: Line) -> Line:
    """The line with a message of bounded length and without lone surrogates.

    Names of files hold such surrogates, and so does JSON from clients; UTF-8 has no form for them.
    """
    message = line.message
    if message.isascii() and len(message) <= MAX_LINE_CHARACTERS:
        return line
    if len(message) > MAX_LINE_CHARACTERS:
        message = f"{message[:MAX_LINE_CHARACTERS]} … ({len(message):,} characters in all)"
    message = message.encode(errors="backslashreplace").decode()
    return msgspec.structs.replace(line, message=message)


def _size_bytes(line: Line) -> int:
    return len(line.message) + _BYTES_PER_LINE


LineOutbox = Outbox[Line, AppendLines]

LINES: Goods[Line, AppendLines] = Goods(
    name="log lines",
    command=logs.APPEND,
    batch=lambda sender, epoch, lines, dropped: AppendLines(
        sender=sender, epoch=epoch, lines=lines, dropped=dropped
    ),
    fit=_fit_to_travel,
    size_bytes=_size_bytes,
    max_kept=65_536,
    max_kept_bytes=16 * 1024 * 1024,
    max_batch=2_000,
    max_batch_bytes=1024 * 1024,
)
"""Log lines, be they of a process or of an engine."""


class RecordHandler(logging.Handler):
    """Puts the records of this process into its outbox."""

    def __init__(self, delivery: Delivery, source: str, epoch: int) -> None:
        super().__init__()
        self._source = source
        self._outbox = delivery.open(LINES, source, epoch)
        self._sequence = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record; called by `logging` with this handler's lock held."""
        try:
            message = record.getMessage()
            if record.exc_info:
                formatter = self.formatter or logging.Formatter()
                message = f"{message}\n{formatter.formatException(record.exc_info)}"
        except (TypeError, ValueError, KeyError):  # arguments that do not fit their message
            self.handleError(record)
            return
        self._sequence += 1
        line = Line(
            sequence=self._sequence,
            time=time.time(),
            level=level_name(record.levelno),
            source=self._source,
            message=message,
        )
        self._outbox.put([line])
