"""A program of a stack that does nothing: it shows that it is there, and ends on TERM.

`--engine TAG` also starts a child in a session of its own, tagged like an engine, and leaves it
behind at the end, as a runner that was killed would. `--ignore-term` only KILL ends.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from common import environment


def show_presence(home: Path, name: str) -> None:
    """Write `<name>.present` with this process's pid, at once and as a whole."""
    place = home / "run" / f"{name}.present"
    new = place.with_suffix(".new")
    new.write_text(str(os.getpid()))
    new.rename(place)


def wait_for_orphanhood() -> None:
    """Return when the parent is gone: without supervisord, a program of a stack is to end."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--config")
    parser.add_argument("--name", required=True)
    parser.add_argument("--engine")
    parser.add_argument("--ignore-term", action="store_true")
    options = parser.parse_args()
    if options.engine:
        subprocess.Popen(
            [sys.executable, "-c", "import signal; signal.pause()"],
            env={**os.environ, environment.ENGINE: options.engine},
            start_new_session=True,
        )
    if options.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    show_presence(options.home, options.name)
    wait_for_orphanhood()


if __name__ == "__main__":
    main()
