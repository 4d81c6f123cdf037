"""Runs a test on asyncio's own event loop and on the one that serves in production."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

_LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that runs `test` in a new loop of each kind; its fixtures must not be asynchronous."""

    @functools.wraps(test)
    def run(new_loop: str, **fixtures: Any) -> None:
        with asyncio.Runner(loop_factory=_LOOPS[new_loop]) as runner:
            runner.run(test(**fixtures))

    # pytest reads parameters from the signature, and would follow the wrapper to the original.
    signature = inspect.signature(test)
    new_loop = inspect.Parameter("new_loop", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[new_loop, *signature.parameters.values()]
    )
    del run.__wrapped__
    parametrized: Callable[..., None] = pytest.mark.parametrize("new_loop", sorted(_LOOPS))(run)
    return parametrized
