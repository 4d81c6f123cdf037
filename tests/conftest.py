from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["tests.support.side_by_side"]

# A job in a shell's background ignores Ctrl-C, and all that it starts inherits that; the tests
# press it. What Python handles itself is back to normal in each child.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Like `tmp_path`, but short enough for sockets: their paths end at 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="t-") as directory:
        yield Path(directory)
