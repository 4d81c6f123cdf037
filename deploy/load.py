"""`llama-proxy load`: ask for a model and show how far it is until it answers."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from common.api import models
from common.home import Home
from common.settings import Settings
from deploy.client import local_client
from deploy.failure import CommandFailed, ExitCode

# On top of what the server itself may take: it is the one to say that time is up.
_MARGIN_S = 30.0


def load(home: Home, settings: Settings, request: models.LoadModel, token: str | None) -> str:
    """Load a model, as the bearer of `token` if given, and return a line that says so.

    Raises what the server answers.
    """
    timeout_s = settings.llama.queue_timeout + settings.llama.load_timeout_seconds + _MARGIN_S
    console = Console(stderr=True, markup=False, highlight=False)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[stage]}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    began_s = time.monotonic()
    with bar, local_client(home, settings, token) as client:
        task = bar.add_task(request.id, total=None, stage="asked")

        def show(change: models.ModelStatusChange) -> None:
            if change.id == request.id:
                _advance(bar, task, change)

        client.on(models.STATUS, show)
        try:
            loaded = client.call(models.LOAD, request, timeout_s)
        except KeyboardInterrupt:
            raise CommandFailed(
                f"not waiting any longer; `llama-proxy unload {request.id}` cancels the load",
                ExitCode.INTERRUPTED,
            ) from None
    took_s = time.monotonic() - began_s
    memory = decimal(loaded.memory_usage)
    return f"{loaded.id} is loaded: {memory} of memory, ready after {took_s:.1f} s"


def _advance(bar: Progress, task: TaskID, change: models.ModelStatusChange) -> None:
    """Show a step; without a figure from the engine the bar only pulses."""
    if isinstance(change.progress, float | int):
        bar.update(task, total=1.0, completed=change.progress, stage=change.status)
    else:
        bar.update(task, stage=change.status)
