"""Serves one model with llama.cpp's server: `python -m workers.runner.embedded --model FILE …`.

Behaves like llama-server towards whoever starts it: the same flags and LLAMA_API_KEY, the same
lines on stderr, exit code 1 for a bad argument or model, 0 after SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from workers.runner.embedded.flags import BadArgument, Setting, parse, usage
from workers.runner.embedded.table import TABLE

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main(arguments: list[str]) -> int:
    """Serve until a stop signal ends the process; returns the exit code if it never serves."""
    if any(word in ("-h", "--help", "--usage") for word in arguments):
        sys.stdout.write(usage(TABLE) + "\n")
        return 0
    try:
        settings = parse(arguments, TABLE)
    except BadArgument as error:
        return _fail(str(error))
    if not any(setting.flag.name == "model" for setting in settings):
        return _fail("error: --model is required")
    # Loading holds the GIL, so no handler of ours could run: the kernel must end the process.
    _set_dispositions(signal.SIG_DFL)
    try:
        import xllamacpp
    except ImportError as error:
        # Worded like the dynamic loader's complaint about a llama-server in the same need.
        return _fail(f"error while loading shared libraries: {error}")
    try:
        # The name keeps it alive: its destructor would end it.
        _server = xllamacpp.Server(_parameters(xllamacpp, settings))
    except RuntimeError as error:
        _flush_log(xllamacpp)
        return _fail(f"error: {error}")
    _wait_for_stop_signal()
    _flush_log(xllamacpp)
    # Not by deleting the server: that waits, with the GIL held, until every client with an open
    # stream has gone, or for ever if its main loop had not begun. Whoever stops an engine has
    # drained it before, and the kernel gives back all that it holds.
    os._exit(0)


def _parameters(library: Any, settings: list[Setting]) -> Any:
    """What llama-server would start from: its defaults, the flags, and what these imply."""
    params = library.CommonParams()
    params.n_parallel = -1
    params.default_template_kwargs = {"preserve_reasoning": "true"}
    params.api_keys = [key for key in os.environ.get("LLAMA_API_KEY", "").split(",") if key]
    for setting in settings:
        setting.flag.apply(params, setting.value, library)
    if params.embedding:
        # An embedding is computed in one piece; llama.cpp asserts that a batch fits in one.
        params.n_batch = min(params.n_batch, params.n_ubatch)
    return params


def _wait_for_stop_signal() -> None:
    """Sleep until a stop signal, whichever thread it reaches.

    The threads that llama.cpp has started have these signals unblocked, as the load needed it, so
    sigwait could miss one; the interpreter's own handler writes to the wakeup pipe in any thread.
    """
    ours, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup)
    _set_dispositions(lambda _number, _frame: None)
    os.read(ours, 1)
    signal.set_wakeup_fd(-1)


def _flush_log(library: Any) -> None:
    """Wait until llama.cpp has written its log, as llama-server does before it returns from main.

    A thread of its own writes it, and nothing else waits for that thread: on a busy machine the
    line that says why a load failed would be lost. The wheel has no binding for this, so the two
    functions (common/log.h) are called by their C++ names; where a later wheel hides them, the
    risk is back, and no more than that.
    """
    import ctypes

    functions = ctypes.CDLL(library.xllamacpp.__file__)
    try:
        log, flush = (
            functions["_Z15common_log_mainv"],
            functions["_Z16common_log_flushP10common_log"],
        )
    except AttributeError:
        return
    log.restype = ctypes.c_void_p
    flush.argtypes = (ctypes.c_void_p,)
    flush.restype = None
    flush(log())


def _set_dispositions(disposition: Any) -> None:
    for number in _STOP_SIGNALS:
        signal.signal(number, disposition)


def _fail(message: str) -> int:
    sys.stderr.write(message + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
