"""The `llama-proxy` command.

Each command is a client of the public API like any other; `up` and `down` own the processes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from common.errors import ProxyError
from deploy.arguments import parser
from deploy.failure import CommandFailed, ExitCode


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = parser().parse_args(arguments)
    try:
        code: int = options.command(options)
        sys.stdout.flush()
    except CommandFailed as failure:
        return _fail(str(failure), failure.exit_code)
    except ProxyError as error:
        return _fail(f"{error.code}: {error.message}", ExitCode.FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # `llama-proxy models | head`: nobody reads on. Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except OSError as error:
        return _fail(str(error), ExitCode.FAILED)
    return code


def _fail(message: str, code: ExitCode) -> int:
    sys.stderr.write(f"llama-proxy: {message}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
