"""`llama-proxy up` with stand-ins for the programs, as a process that a test can signal.

The first argument is home, the others name programs; `NAME=ARGUMENT,…` gives one its arguments.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from common.errors import ProxyError
from common.home import Home
from common.settings_source import load
from deploy.failure import CommandFailed
from deploy.stack import Program, Stack
from deploy.up import run


def program(word: str) -> Program:
    name, _, arguments = word.partition("=")
    module = "stand_in_gateway" if name == "gateway" else "stand_in_program"
    given = tuple(argument for argument in arguments.split(",") if argument)
    return Program(name, f"tests.support.{module}", priority=10, arguments=given)


def main() -> int:
    # Whoever runs the tests may ignore it (nohup).
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    home = Home(Path(sys.argv[1]))
    stack = Stack(
        home=home,
        config=None,
        settings=load(home.root, None, {}),
        programs=[program(word) for word in sys.argv[2:]],
    )
    try:
        run(stack)
    except (CommandFailed, ProxyError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
