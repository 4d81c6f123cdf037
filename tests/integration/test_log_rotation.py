"""The output of a process is kept in files of bounded size, and goes on across their change."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.home import Home
from common.settings import Settings
from deploy.render import CODE_ROOT, render_full
from deploy.stack import Program, Stack
from tests.support.waiting import wait_for

LINES = 30_000
FILE_BYTES = 100_000
READ_BYTES = 128 * 1024  # supervisord looks at the size after each read only
FILES = 4  # the one that is written and three that are kept


@contextmanager
def running(conf: Path) -> Iterator[subprocess.Popen[bytes]]:
    supervisord = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(conf)],
        cwd=CODE_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield supervisord
    finally:
        supervisord.terminate()
        assert supervisord.wait(20) == 0


def ends(log: Path) -> bool:
    return log.exists() and log.read_text().endswith("the end\n")


def test_a_rotated_file_is_continued_and_old_ones_go(short_path: Path) -> None:
    program = Program("chatty", "tests.support.chatty_program", 10, 2, ("--lines", str(LINES)))
    stack = Stack(Home(short_path), None, Settings(), [program])
    stack.home.prepare(stack.settings)
    conf = stack.home.supervisord_conf
    full = render_full(stack)
    small = re.sub(r"stdout_logfile_maxbytes=\d+", f"stdout_logfile_maxbytes={FILE_BYTES}", full)
    assert small != full
    conf.write_text(small)
    log = stack.log_file("chatty")
    files = [*(log.with_name(f"{log.name}.{n}") for n in range(FILES - 1, 0, -1)), log]
    with running(conf):
        # The last line may have been the one that filled its file.
        wait_for(lambda: any(ends(path) for path in files[-2:]))
        assert sorted(stack.logs.glob("chatty.log*")) == sorted(files)
        assert all(path.stat().st_size < FILE_BYTES + READ_BYTES for path in files)
        kept = "".join(path.read_text() for path in files).splitlines()
    numbers = [int(line.split()[1]) for line in kept if line.startswith("line ")]
    # Without a gap up to the last one, and no longer from the first.
    assert numbers == list(range(LINES - len(numbers), LINES))
    assert numbers[0] > 0
